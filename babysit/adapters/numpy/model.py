"""How a network written by hand is called: its loss, scores and penalty, in training or in test mode.

The course's assignments hand the regularization strength over in three ways (a parameter of `loss`, an attribute,
or not at all) and the mode in four (a parameter, an attribute, entries "mode" of dicts, or whether y is given).
"""

import contextlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from babysit.adapters.numpy.modes import FLAGS, setting, without_dropout
from babysit.adapters.numpy.trace import Array
from babysit.errors import TargetError

_REGULARIZATION = re.compile(
    r"_?(reg|regulari[sz]ation|(l1_|l2_)?reg(_strength|_lambda|_coef|_rate)?|regularization_strength|weight_decay"
    r"|lam|lamb|lambd|lambda|lamda|lmbda|lmbd|lambda_reg|l[12]_(lambda|strength|penalty)|weight_decay_lambda)_?"
)
_AS_PARAMETER = ("l1", "l2")  # as attributes they may be layers or their sizes


@dataclass(frozen=True)
class Signature:
    """What `loss` takes beside X and y.

    Args:
        strength: Name of the parameter that is the regularization strength; empty if there is none.
        default: That parameter's default.
        strength_needed: Whether that parameter has no default.
        mode: Name of the parameter that tells training from testing; empty if there is none.
        words: Its two values, for training and for testing.
        y_needed: Whether y has no default, so that scores come from `loss(X, None)`.
    """

    strength: str = ""
    default: Any = None
    strength_needed: bool = False
    mode: str = ""
    words: tuple[Any, Any] = (True, False)
    y_needed: bool = False


def read_signature(loss: Callable[..., Any]) -> Signature:
    """The signature of a model's `loss`.

    Raises:
        TargetError: It needs something that nobody can give.
    """
    named = [p for p in inspect.signature(loss).parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if len(named) < 2:
        raise TargetError("`loss` must take (X, y): with y it returns (loss, grads), without y the scores")
    found: dict[str, Any] = {"y_needed": named[1].default is inspect.Parameter.empty}
    for p in named[2:]:
        if "strength" not in found and (p.name in _AS_PARAMETER or _REGULARIZATION.fullmatch(p.name)):
            found |= {"strength": p.name, "default": p.default, "strength_needed": p.default is p.empty}
        elif p.name in (*FLAGS, "mode"):
            found |= {"mode": p.name, "words": ("train", "test") if p.name == "mode" else (True, False)}
        elif p.default is p.empty:
            raise TargetError(f"`loss` needs a parameter {p.name!r} that babysit can't give: give it a default")
    return Signature(**found)


@dataclass(frozen=True)
class Program:
    """A model and how it is called.

    Args:
        model: Holds the dict `params`, and `loss`.
        signature: What `loss` takes beside X and y.
        attributes: Names of the attributes that are strengths, where `loss` takes none.
        strength: The strength for `loss` to be given at scale 1; None leaves its default.
    """

    model: Any
    signature: Signature
    attributes: tuple[str, ...] = ()
    strength: float | None = None

    def strengths(self) -> dict[str, float]:
        """The strengths at scale 1, by name."""
        if self.signature.strength:
            return {self.signature.strength: self.strength or 0.0}
        return {name: float(vars(self.model)[name]) for name in self.attributes}

    def loss(
        self, X: Array, y: Array, *, scale: float, dropout: bool, training: bool = True
    ) -> tuple[float, dict[str, Array]]:
        """Loss and gradients of copies of X and y, the penalty scaled; moves the model's state and the generators.

        Raises:
            TargetError: It returns something else.
        """
        with self._scaled(scale, dropout) as given:
            result = self.model.loss(X.copy(), y.copy(), **given, **self._mode(training))
        return _checked(result, self.model.params)

    def scores(self, X: Array, *, dropout: bool, training: bool = True) -> Any:
        """What `loss` returns without y; X is handed over as it is."""
        without_y = (None,) if self.signature.y_needed else ()
        with self._scaled(1.0, dropout) as given:
            needed = given if self.signature.strength_needed else {}
            return self.model.loss(X, *without_y, **needed, **self._mode(training))

    def _mode(self, training: bool) -> dict[str, Any]:
        signature = self.signature
        return {signature.mode: signature.words[0 if training else 1]} if signature.mode else {}

    @contextlib.contextmanager
    def _scaled(self, scale: float, dropout: bool) -> Iterator[dict[str, Any]]:
        attributes = [] if scale == 1 else [(vars(self.model), n, scale * vars(self.model)[n]) for n in self.attributes]
        name, strength = self.signature.strength, self.strength
        given = {name: scale * strength} if name and strength is not None else {}
        with setting(attributes), contextlib.nullcontext() if dropout else without_dropout(self.model):
            yield given


def _checked(result: Any, params: Mapping[str, Array]) -> tuple[float, dict[str, Array]]:
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise TargetError(f"`loss(X, y)` must return (loss, grads); it returned a {type(result).__name__}")
    loss, grads = result
    if np.size(loss) != 1 or np.asarray(loss).dtype.kind not in "iuf":
        what = f"an array of shape {np.shape(loss)}" if np.size(loss) != 1 else f"a {type(loss).__name__}"
        raise TargetError(f"the loss that `loss(X, y)` returned is {what}; it must be one real number")
    if not isinstance(grads, Mapping):
        raise TargetError(
            f"the grads that `loss(X, y)` returned must be a dict by parameter, not {type(grads).__name__}"
        )
    arrays = {name: np.array(grads[name]) for name in params if grads.get(name) is not None}
    for name, grad in arrays.items():
        if grad.shape != params[name].shape:
            raise TargetError(f"the gradient of {name!r} has shape {grad.shape}, the parameter {params[name].shape}")
    return float(np.asarray(loss).item()), arrays


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def strength_attributes(model: Any) -> tuple[str, ...]:
    """Names of the model's own attributes that are regularization strengths."""
    return tuple(n for n, v in vars(model).items() if _REGULARIZATION.fullmatch(n) and _is_number(v))


def _checked_params(model: Any) -> None:
    if not isinstance(getattr(model, "params", None), dict) or not model.params:
        raise TargetError(f"{type(model).__name__} has no dict `params` of its parameters by name")
    if not callable(getattr(model, "loss", None)):
        raise TargetError(f"{type(model).__name__} has no method `loss(X, y)`")
    for name, value in model.params.items():
        if not isinstance(value, np.ndarray):
            raise TargetError(f"params[{name!r}] is a {type(value).__name__}, not a NumPy array")
        if value.dtype.kind != "f":
            raise TargetError(f"params[{name!r}] holds {value.dtype}; parameters must be floating-point numbers")


def read_program(model: Any, regularization: float | None) -> Program:
    """How the model is called, with the strength the user gives or the one it has.

    Raises:
        TargetError: The model can't be driven, or has no place for the strength.
    """
    _checked_params(model)
    signature, attributes = read_signature(model.loss), strength_attributes(model)
    if signature.strength:
        own = signature.default if _is_number(signature.default) else None
        if own is None and len(attributes) == 1:
            own = float(vars(model)[attributes[0]])
        if own is None and signature.strength_needed:
            own = 0.0
        return Program(model, signature, (), own if regularization is None else regularization)
    if regularization is not None and len(attributes) == 1:
        vars(model)[attributes[0]] = regularization
    elif regularization:
        found = f"has several: {', '.join(attributes)}" if attributes else "has no such attribute"
        raise TargetError(
            f"regularization={regularization:g} has no place to go: `loss` has no parameter like `reg`, and "
            f"{type(model).__name__} {found}"
        )
    return Program(model, signature, attributes)
