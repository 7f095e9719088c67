"""A bounded sample of the entries of all parameters, for what needs several versions of them at once.

Weights before and after a step, the gradients of some updates: held whole, each is one more copy of the network. Of a
parameter with more entries than its share of `ENTRIES`, every k-th one is taken, k having no divisor in common with the
length of a row, so that rows and columns are covered evenly, as embeddings want it, few of whose rows have a gradient.

What is taken is scaled by the root of k. Then norms and inner products of samples estimate those of the whole. Of a
parameter whose entries are alike and independent the norm is off by about 1 / sqrt(2 n) of itself, n being the entries
sampled that are not zero: 0.05 % for a million, 5 % for the 200 that are left of an embedding's gradient.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from array_api_compat import array_namespace, is_numpy_array, is_torch_array

from babysit import arrays

if TYPE_CHECKING:
    from babysit.trainer import Array

ENTRIES = 2**22  # in all: 16 MiB in single precision; a million of each of four large layers


class Sample:
    """Where to look.

    Args:
        parameters: By name; of a network with at most `most` entries, all are taken as they are.
        most: Entries taken in all, but for one of each parameter.
    """

    def __init__(self, parameters: "Mapping[str, Array]", most: int = ENTRIES) -> None:
        shapes = {name: tuple(x.shape) for name, x in parameters.items()}
        share = _share([math.prod(shape) for shape in shapes.values()], most)
        self._strides = {name: _stride(shape, share) for name, shape in shapes.items()}

    def of(self, values: "Mapping[str, Array]") -> "dict[str, Array]":
        """Copies of the sampled entries of what is given of each parameter, scaled; flat where not all were taken."""
        return {name: _sampled(values[name], stride) for name, stride in self._strides.items() if name in values}


def _share(sizes: list[int], most: int) -> int:
    """Up to how many entries of each make so many in all: small ones are whole, the others share what is left."""
    left = most
    for k, size in enumerate(ordered := sorted(sizes)):
        if size * (len(ordered) - k) > left:
            return max(1, left // (len(ordered) - k))
        left -= size
    return max(sizes, default=1)


def _stride(shape: tuple[int, ...], share: int) -> int:
    stride = max(1, math.ceil(math.prod(shape) / share))
    row = shape[-1] if shape else 1
    while stride > 1 and math.gcd(stride, row) > 1:
        stride += 1
    return stride


def _sampled(x: "Array", stride: int) -> "Array":
    if stride == 1:
        return x.to_dense() if arrays.is_sparse(x) else arrays.duplicate(x)
    return math.sqrt(stride) * (_of_sparse(x, stride) if arrays.is_sparse(x) else _every(x, stride))


def _every(x: "Array", stride: int) -> "Array":
    """Every entry whose place in C order is a multiple of the stride."""
    xp = array_namespace(x)
    if _is_contiguous(x):
        return xp.reshape(x, (-1,))[::stride]
    taken, passed = [], 0
    for (piece,) in arrays.pieces(x):  # whose copies are small
        taken.append(xp.reshape(piece, (-1,))[-passed % stride :: stride])
        passed += math.prod(piece.shape)
    return xp.concat(taken)


def _is_contiguous(x: "Array") -> bool:
    if is_torch_array(x):
        return bool(x.is_contiguous())
    return not is_numpy_array(x) or bool(x.flags.c_contiguous)


def _of_sparse(x: "Array", stride: int) -> "Array":
    """The same of a sparse tensor, which is never made dense."""
    x = x.coalesce()
    indices, values = x.indices(), x.values()
    xp = array_namespace(values)
    inner = math.prod(values.shape[1:])  # entries of each place that is held
    first = xp.zeros_like(indices[0])
    for axis, places in enumerate(indices):
        first = first * x.shape[axis] + places
    places = (first[:, None] * inner + xp.arange(inner, device=first.device)).reshape(-1)
    chosen = places % stride == 0
    found = xp.zeros(math.ceil(math.prod(x.shape) / stride), dtype=values.dtype, device=values.device)
    found[places[chosen] // stride] = values.reshape(-1)[chosen]
    return found
