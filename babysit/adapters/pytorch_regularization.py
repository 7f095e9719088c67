"""What regularizes a PyTorch program, and scaling it: weight decay, the user's penalty, dropout."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adadelta, Adagrad, Adam, Adamax, NAdam, Optimizer, RAdam, RMSprop
from torch.overrides import TorchFunctionMode

# These add decay * w to the gradient, and so minimize decay / 2 * |w|^2; others shrink the weights beside the gradient.
COUPLED = (SGD, Adam, Adamax, NAdam, RAdam, Adagrad, Adadelta, RMSprop)
# Positions of (rate, training) among the arguments; None where there is no such argument.
DROPOUTS: Mapping[str, tuple[str, int, int | None]] = {
    **dict.fromkeys(("dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout"), ("p", 1, 2)),
    **dict.fromkeys(("alpha_dropout", "feature_alpha_dropout"), ("p", 1, 2)),
    "scaled_dot_product_attention": ("dropout_p", 4, None),
    "multi_head_attention_forward": ("dropout_p", 10, 13),
}
RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")  # the dropout between layers stands three behind the weights
DROPPING = re.compile(r"drop|stochasticdepth", re.I)  # names of modules that drop parts of what they are given

_AS_IT_IS = nullcontext()


class Regularization:
    """Weight decay of every parameter group, the user's own penalty and dropout, scaled together.

    Args:
        module: The model.
        optimizers: All of the program's optimizers.
        penalty: The user's own term of the loss.

    Attributes:
        in_the_loss: Whether any of it is a term of the loss.
    """

    def __init__(self, module: nn.Module, optimizers: Sequence[Optimizer], penalty: Callable[[], Any] | None) -> None:
        self._module, self._penalty = module, penalty
        groups = [(group, optimizer) for optimizer in optimizers for group in optimizer.param_groups]
        self._decays = [(group, group["weight_decay"]) for group, _ in groups if group.get("weight_decay")]
        self._coupled = [
            (group, float(group["weight_decay"])) for group, owner in groups if group.get("weight_decay")
            and isinstance(owner, COUPLED) and not group.get("decoupled_weight_decay")
        ]  # fmt: skip
        self.in_the_loss = penalty is not None or bool(self._coupled)
        self._scale = 1.0
        self._functional: bool | None = None  # whether dropout is called as a function; None until that was seen

    @property
    def scale(self) -> float:
        """1 as the program has it, 0 all off."""
        return self._scale

    @scale.setter
    def scale(self, value: float) -> None:
        self._scale = value
        for group, decay in self._decays:
            group["weight_decay"] = decay * value

    def term(self) -> Tensor | float:
        """The user's penalty at the present scale, with its graph."""
        return self._scale * self._penalty() if self._penalty is not None and self._scale else 0.0

    def decay(self) -> Tensor | float:
        """What coupled decay adds to the loss: decay / 2 * |w|^2 for each group."""
        return self._decay() if self._coupled and self._scale else 0.0

    @torch.no_grad()
    def _decay(self) -> Tensor | float:
        total: Tensor | float = 0.0
        for group, decay in self._coupled:
            norms = torch._foreach_norm(list(group["params"]))
            total = total + self._scale * decay / 2 * torch.stack([n.float() for n in norms]).square().sum()
        return total

    def add_decay(self, gradients: Mapping[int, Tensor]) -> None:
        """Adds coupled decay's part to the gradients, by `id` of their parameters."""
        for group, decay in self._coupled:
            for p in group["params"]:
                if id(p) in gradients:
                    gradients[id(p)].add_(p.detach(), alpha=self._scale * decay)

    def strengths(self, dropout: float) -> dict[str, float]:
        """What the program states; `dropout` is the highest rate seen in a forward pass."""
        decays = sorted({float(decay) for _, decay in self._decays})
        stated = {f"weight_decay{f' ({k + 1})' if k else ''}": decay for k, decay in enumerate(decays)}
        if self._penalty is not None:
            stated["penalty()"] = float(self._penalty())
        if dropout:
            stated["dropout"] = dropout
        return stated

    def applied(self) -> AbstractContextManager[None]:
        """A context to run the model in at the present scale: at 0 nothing drops out, module or function."""
        return _AS_IT_IS if self._scale else self._without_dropout()

    @contextmanager
    def _without_dropout(self) -> Iterator[None]:
        dropping = [m for m in self._module.modules() if m.training and is_dropping(m)]
        for m in dropping:
            m.training = False
        try:
            if self._functional is False:
                yield
            else:
                with WithoutDropout() as without:
                    yield
                self._functional = bool(self._functional or without.rate)
        finally:
            for m in dropping:
                m.training = True


def is_dropping(module: nn.Module) -> bool:
    """Whether the module does nothing but drop parts of its input, by chance and in training."""
    alone = next(module.children(), None) is None and next(module.parameters(), None) is None
    return alone and DROPPING.search(type(module).__name__) is not None


class WithoutDropout(TorchFunctionMode):
    """Dropout functions do nothing inside; `rate` is the highest that one would have had."""

    def __init__(self, *, keep: bool = False) -> None:
        super().__init__()
        self.rate = 0.0
        self._keep = keep

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Makes the call, its dropout rate set to 0."""
        options = dict(kwargs or {})
        name = getattr(func, "__name__", "").rstrip("_")
        if name in RECURRENT:
            weights = next(i for i, arg in enumerate(args) if isinstance(arg, list | tuple) and i >= 2)
            args = self._switched(args, options, ("dropout", weights + 3, weights + 4))
        elif name in DROPOUTS:
            args = self._switched(args, options, DROPOUTS[name])
        return func(*args, **options)

    def _switched(
        self, args: tuple[Any, ...], options: dict[str, Any], places: tuple[str, int, int | None]
    ) -> tuple[Any, ...]:
        name, rate_at, training_at = places
        training = True
        if training_at is not None:
            training = args[training_at] if len(args) > training_at else options.get("training", True)
        rate = args[rate_at] if len(args) > rate_at else options.get(name, 0.5 if name == "p" else 0.0)
        if not training or not rate:
            return args
        self.rate = max(self.rate, float(rate))
        if self._keep:
            return args
        if len(args) > rate_at:
            return (*args[:rate_at], 0.0, *args[rate_at + 1 :])
        options[name] = 0.0
        return args
