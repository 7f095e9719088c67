"""What torch's functions are to a network: which are nonlinearities, norms and linear maps, by the functions' names."""

import functools
from collections.abc import Mapping
from typing import Any

from torch import Tensor

# Elementwise nonlinearities that are called by their own name, in-place spellings included (without the underscore).
NONLINEAR: Mapping[str, str] = {
    "relu": "relu",
    "relu6": "relu",
    "prelu": "prelu",
    "leaky_relu": "leaky-relu",
    "rrelu": "leaky-relu",
    "elu": "elu",
    "selu": "elu",
    "celu": "elu",
    "gelu": "gelu",
    "silu": "silu",
    "mish": "mish",
    "hardswish": "silu",
    "softplus": "softplus",
    "softsign": "softsign",
    "hardsigmoid": "hardtanh",
    "logsigmoid": "softplus",
    "log_sigmoid": "softplus",
    "tanhshrink": "shrink",
    "softshrink": "shrink",
    "hardshrink": "shrink",
    "sin": "sin",
    "glu": "gate",
    "softmax": "softmax",
    "log_softmax": "softmax",
    "softmin": "softmax",
    "gumbel_softmax": "softmax",
}
# Bounded ones that may turn out to be half of a gate, x * sigmoid(x), once it is seen what they are multiplied with.
BOUNDED: Mapping[str, str] = {
    "sigmoid": "sigmoid",
    "special_expit": "sigmoid",
    "tanh": "tanh",
    "erf": "erf",
    "special_erf": "erf",
}
# Norms, with the axis of their units.
NORMS: Mapping[str, int] = {"batch_norm": 1, "instance_norm": 1, "group_norm": 1, "layer_norm": -1, "rms_norm": -1}
# Linear maps whose second argument is the weight, with the axis of their units.
CONVOLUTIONS = ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
LINEAR: Mapping[str, int] = {"linear": -1, "embedding": -1, **dict.fromkeys(CONVOLUTIONS, 1)}
# Products that are linear maps where one side is made of parameters alone.
PRODUCTS = frozenset(("matmul", "mm", "bmm", "addmm", "baddbmm", "einsum", "__rmatmul__", "mv", "tensordot", "inner"))
RECURRENT: Mapping[str, str] = {
    "lstm": "lstm",
    "gru": "gru",
    "rnn_tanh": "tanh",
    "rnn_relu": "relu",
    "lstm_cell": "lstm",
    "gru_cell": "gru",
    "rnn_tanh_cell": "tanh",
    "rnn_relu_cell": "relu",
}
VIEWS = ("T", "mT", "H", "mH", "data")  # attributes that are the tensor itself, seen otherwise
# A bounded output is still itself behind these, as long as the other operand is a number or a parameter.
SCALING = frozenset(("add", "sub", "mul", "div", "true_divide", "neg", "rsub", "__rsub__", "__rdiv__"))
RESHAPING = frozenset(
    (
        *("view", "reshape", "flatten", "unflatten", "expand", "expand_as", "unsqueeze", "squeeze", "view_as"),
        *("transpose", "permute", "movedim", "moveaxis", "swapaxes", "swapdims", "contiguous", "chunk", "split"),
        *("unbind", "__getitem__", "select", "narrow", *VIEWS, "clone", "to", "type_as", "type", "float", "half"),
        *("bfloat16", "double", "broadcast_to", "repeat"),
    )
)
CLAMPS = frozenset(("clamp", "clip", "clamp_min", "threshold", "hardtanh"))
COMPARING: Mapping[str, bool] = {"gt": True, "ge": True, "lt": False, "le": False}  # with 0: where x is positive
CHOOSING = frozenset(("maximum", "max", "fmax", "where", "masked_fill"))
# What each function may be, so that one look tells it; other functions only carry lineages on.
ROLES: Mapping[str, str] = {
    **dict.fromkeys(RESHAPING, "reshaping"),
    **dict.fromkeys(SCALING, "scaling"),
    **dict.fromkeys(COMPARING, "comparing"),
    **dict.fromkeys(CHOOSING, "choosing"),
    **dict.fromkeys(PRODUCTS, "product"),
    **dict.fromkeys(RECURRENT, "recurrent"),
    **dict.fromkeys(LINEAR, "linear"),
    **dict.fromkeys(NORMS, "norm"),
    **dict.fromkeys(BOUNDED, "bounded"),
    **dict.fromkeys((*NONLINEAR, *CLAMPS), "nonlinear"),
    **dict.fromkeys(("mul", "multiply"), "gating"),
}
# What can't carry anything on: it asks about tensors, or makes new ones.
ASKING = frozenset(
    (
        *("size", "dim", "numel", "is_contiguous", "stride", "is_floating_point", "is_complex", "item", "tolist"),
        *("__len__", "__bool__", "__format__", "__repr__", "zeros", "ones", "empty", "full", "arange", "tensor"),
        *("eye", "zeros_like", "ones_like", "empty_like", "full_like", "randn", "rand", "randn_like", "rand_like"),
        *("new_zeros", "new_ones", "new_empty", "new_full", "_set_grad_enabled", "get_device", "element_size"),
        *("nelement", "data_ptr"),
    )
)


@functools.lru_cache(maxsize=4096)
def plain_name(func: Any) -> tuple[str, bool]:
    """The function's name, empty where it carries nothing on, and whether it overwrites its first argument.

    The underscore of an in-place spelling is left out.
    """
    name: str = getattr(func, "__name__", "")
    if name == "__get__":
        attribute = getattr(getattr(func, "__self__", None), "__name__", "")
        return (attribute if attribute in VIEWS else ""), False
    if name in ASKING:
        return "", False
    if name.endswith("_") and not name.endswith("__"):
        return name[:-1].lstrip("_"), True
    return ("threshold" if name == "_threshold" else name), False


def argument(args: tuple[Any, ...], options: Mapping[str, Any], position: int, name: str, default: Any = None) -> Any:
    """An argument, wherever it was given."""
    return args[position] if len(args) > position else options.get(name, default)


def is_zero(value: Any) -> bool:
    """Whether it is 0, or a tensor of nothing else."""
    if isinstance(value, Tensor):
        return not value.requires_grad and not bool(value.detach().any())
    return isinstance(value, int | float) and value == 0


def clamps(name: str, args: tuple[Any, ...], options: Mapping[str, Any]) -> str:
    """The kind of nonlinearity that a clamp is; empty where it only guards against extremes."""
    if name.startswith("cl"):
        low, high = argument(args, options, 1, "min"), argument(args, options, 2, "max")
        if low is not None and is_zero(low):
            return "relu"
        return "hardtanh" if isinstance(low, int | float) and isinstance(high, int | float) and low == -high else ""
    if name == "threshold":
        at, value = argument(args, options, 1, "threshold"), argument(args, options, 2, "value")
        return "relu" if at == 0 and value == 0 else ""
    low = argument(args, options, 1, "min_val", -1.0)  # hardtanh
    return "relu" if low == 0 else "hardtanh"
