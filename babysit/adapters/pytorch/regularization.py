"""What regularizes a PyTorch program, and scaling it: weight decay, the user's penalty, dropout."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import ASGD, SGD, Adadelta, Adagrad, Adam, Adamax, NAdam, Optimizer, RAdam, RMSprop
from torch.overrides import TorchFunctionMode

# These add decay * w to the gradient, and so minimize decay / 2 * |w|^2; others shrink the weights beside the gradient.
COUPLED = (SGD, ASGD, Adam, Adamax, NAdam, RAdam, Adagrad, Adadelta, RMSprop)
# Positions of (rate, training) among the arguments; None where there is no such argument.
DROPOUTS: Mapping[str, tuple[str, int, int | None]] = {
    **dict.fromkeys(("dropout", "dropout1d", "dropout2d", "dropout3d", "native_dropout"), ("p", 1, 2)),
    **dict.fromkeys(("feature_dropout", "alpha_dropout", "feature_alpha_dropout"), ("p", 1, 2)),
    "scaled_dot_product_attention": ("dropout_p", 4, None),
    "multi_head_attention_forward": ("dropout_p", 10, 13),
}
RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")  # (..., bias: bool, layers, dropout, training, ...)
DROPPING = re.compile(r"drop|stochasticdepth", re.I)  # names of modules that drop parts of what they are given

_AS_IT_IS = nullcontext()


@dataclass(frozen=True, eq=False)
class Decay:
    """The weight decay of one parameter group; its optimizer may replace the group when it loads a state.

    Args:
        optimizer: The group's optimizer.
        index: The group's place in it.
        strength: The program's own decay.
    """

    optimizer: Optimizer
    index: int
    strength: float

    @property
    def group(self) -> dict[str, Any]:
        """The group as it stands."""
        return self.optimizer.param_groups[self.index]

    @property
    def coupled(self) -> bool:
        """Whether it is a part of the gradient."""
        return isinstance(self.optimizer, COUPLED) and not self.group.get("decoupled_weight_decay")


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
        self._decays = [
            Decay(optimizer, index, group["weight_decay"])
            for optimizer in optimizers
            for index, group in enumerate(optimizer.param_groups)
            if group.get("weight_decay")
        ]
        self._coupled = [decay for decay in self._decays if decay.coupled]
        self.in_the_loss = penalty is not None or bool(self._coupled)
        self._scale = 1.0

    @property
    def scale(self) -> float:
        """1 as the program has it, 0 all off."""
        return self._scale

    @scale.setter
    def scale(self, value: float) -> None:
        self._scale = value
        for decay in self._decays:
            decay.group["weight_decay"] = decay.strength * value

    def term(self) -> Tensor | float:
        """The user's penalty at the present scale, with its graph."""
        return self._scale * self._penalty() if self._penalty is not None and self._scale else 0.0

    def value(self, term: Tensor | float) -> Tensor | float:
        """All that is a term of the loss, without a graph: the user's, as `term` gave it, and coupled decay."""
        return (term.detach() if isinstance(term, Tensor) else term) + self.decay()

    def decay(self) -> Tensor | float:
        """What coupled decay adds to the loss: decay / 2 * |w|^2 for each group."""
        return self._decay() if self._coupled and self._scale else 0.0

    @torch.no_grad()
    def _decay(self) -> Tensor | float:
        total: Tensor | float = 0.0
        for decay in self._coupled:
            if decay.group["params"]:
                norms = torch.stack([n.double() for n in torch._foreach_norm(list(decay.group["params"]))])
                total = total + self._scale * decay.strength / 2 * norms.square().sum()
        return total

    def with_decay(self, p: nn.Parameter, gradient: Tensor) -> Tensor:
        """The gradient with what coupled decay adds to it."""
        for decay in self._coupled:
            if any(p is held for held in decay.group["params"]):
                gradient = gradient.add(p.detach(), alpha=self._scale * decay.strength)
        return gradient

    def strengths(self, penalty: float, dropout: float) -> dict[str, float]:
        """What the program states; the penalty at scale 1 and the highest dropout rate were seen in a forward pass."""
        decays = sorted({float(decay.strength) for decay in self._decays})
        stated = {f"weight_decay{f' ({k + 1})' if k else ''}": decay for k, decay in enumerate(decays)}
        if self._penalty is not None:
            stated["penalty()"] = penalty
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
            with WithoutDropout():
                yield
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
            bias = next((i for i, arg in enumerate(args) if isinstance(arg, bool)), 0)
            if bias:  # cells have none
                args = self._switched(args, options, ("dropout", bias + 2, bias + 3))
        elif name in DROPOUTS:
            args = self._switched(args, options, DROPOUTS[name])
        return func(*args, **options)

    def _switched(
        self, args: tuple[Any, ...], options: dict[str, Any], places: tuple[str, int, int | None]
    ) -> tuple[Any, ...]:
        name, rate_at, training_at = places
        training = True
        if training_at is not None:
            named = options.get("training", options.get("train", True))
            training = args[training_at] if len(args) > training_at else named
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
