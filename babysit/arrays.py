"""Trees of arrays from any library: counting, cutting, copying and comparing them.

A tree is an array, or a tuple, list or dict of trees. Examples lie along axis 0 of every array.
"""

import copy
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from array_api_compat import array_namespace, device, is_array_api_obj, is_numpy_array, is_torch_array

from babysit.trainer import Array, Tree

# Elements of an array that are worked on at once, whatever its size: on the host 1 MiB in double precision, which stays
# in the processor's cache and is three times as fast; elsewhere each piece costs a launch.
PIECE, DEVICE_PIECE = 2**17, 2**20


def leaves(tree: Tree, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its dotted name, in a stable order."""
    if isinstance(tree, dict):
        for key, child in tree.items():
            yield from leaves(child, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, tuple | list):
        for index, child in enumerate(tree):
            yield from leaves(child, f"{path}.{index}" if path else str(index))
    else:
        yield path, tree


def tree_map(function: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """A tree of the same shape with `function` applied to each leaf (and its fellows in `others`)."""
    if isinstance(tree, dict):
        return {key: tree_map(function, child, *(o[key] for o in others)) for key, child in tree.items()}
    if isinstance(tree, tuple | list):
        mapped = [tree_map(function, *children) for children in zip(tree, *others, strict=True)]
        return type(tree)(*mapped) if hasattr(tree, "_fields") else type(tree)(mapped)
    return function(tree, *others)


def count(tree: Tree) -> int:
    """The number of examples: the length of axis 0.

    Raises:
        ValueError: There is no array, or the arrays differ in length.
    """
    lengths = {int(leaf.shape[0]) for _, leaf in leaves(tree) if is_array_api_obj(leaf) and leaf.ndim > 0}
    if len(lengths) != 1:
        found = " and ".join(map(str, sorted(lengths))) or "no array with an axis of examples"
        raise ValueError(f"every array of a batch needs the same number of examples along axis 0; found {found}")
    return lengths.pop()


def targets_each(batch: tuple[Tree, Tree]) -> int:
    """Numbers among the targets of one example; 1 at least."""
    sizes = [math.prod(leaf.shape) for _, leaf in leaves(batch[1]) if is_array_api_obj(leaf)]
    return int(max(1, sum(sizes) // count(batch)))


def take(tree: Tree, indices: Sequence[int]) -> Tree:
    """The examples at `indices`, as copies."""

    def rows(leaf: Any) -> Any:
        if not is_array_api_obj(leaf) or leaf.ndim == 0:
            return leaf
        xp = array_namespace(leaf)
        return xp.take(leaf, xp.asarray(list(indices), dtype=xp.int64, device=device(leaf)), axis=0)

    return tree_map(rows, tree)


def concatenate(trees: Sequence[Tree]) -> Tree:
    """One tree with all the examples."""

    def join(*parts: Any) -> Any:
        if not is_array_api_obj(parts[0]) or parts[0].ndim == 0:
            return parts[0]
        return array_namespace(*parts).concat(parts, axis=0)

    return tree_map(join, *trees)


def zeros_like(tree: Tree) -> Tree:
    """The tree with every array zeroed."""
    return tree_map(lambda x: array_namespace(x).zeros_like(x) if is_array_api_obj(x) else x, tree)


def duplicate(tree: Tree) -> Tree:
    """A deep copy that shares no memory."""

    def fresh(leaf: Any) -> Any:
        if is_torch_array(leaf):
            return leaf.detach().clone()  # a parameter copied otherwise warns about its graph
        return array_namespace(leaf).asarray(leaf, copy=True) if is_array_api_obj(leaf) else copy.deepcopy(leaf)

    return tree_map(fresh, tree)


def independent(state: Tree) -> Tree:
    """The state with arrays of its own, and all else as it is; whoever overwrites the one leaves the other alone."""
    if isinstance(state, dict):
        fresh = copy.copy(state)  # a trainer's own kind of dict stays one
        for key, child in state.items():
            fresh[key] = independent(child)
        return fresh
    if isinstance(state, tuple | list):
        children = [independent(child) for child in state]
        return type(state)(*children) if hasattr(state, "_fields") else type(state)(children)
    return duplicate(state) if is_array_api_obj(state) else state


def size_in_bytes(tree: Tree) -> int:
    """Bytes held by the arrays of the tree; 8 an element where the library doesn't say."""
    return sum(
        math.prod(leaf.shape) * int(getattr(leaf.dtype, "itemsize", 8))
        for _, leaf in leaves(tree)
        if is_array_api_obj(leaf)
    )


def pieces(*xs: Array) -> Iterator[tuple[Array, ...]]:
    """Views of arrays of one shape, of the same places in each, in C order; of at most `PIECE` elements."""
    yield from _cut(xs, PIECE if _is_on_host(xs[0]) else DEVICE_PIECE)


def _is_on_host(x: Array) -> bool:
    return is_numpy_array(x) or (is_torch_array(x) and x.device.type == "cpu")


def _cut(xs: tuple[Array, ...], most: int) -> Iterator[tuple[Array, ...]]:
    shape = tuple(xs[0].shape)
    if math.prod(shape) <= most:
        yield xs
        return
    axis = next(axis for axis, length in enumerate(shape) if length > 1)
    rows = max(1, most // math.prod(shape[axis + 1 :]))
    for start in range(0, shape[axis], rows):
        cut = (*[slice(None)] * axis, slice(start, start + rows))
        yield from _cut(tuple(x[cut] for x in xs), most)


def is_sparse(x: Array) -> bool:
    """Whether it is a tensor of PyTorch's that holds no zeros, as an embedding's gradient may be."""
    return is_torch_array(x) and bool(x.is_sparse)


def digest(x: Array) -> str:
    """Tells arrays apart that differ in any bit, in shape or in type: the first 128 bits of SHA-256.

    No two arrays are known that it confuses; it is computed on the host, piece by piece.
    """
    seen = hashlib.sha256()  # twice as fast as BLAKE2 where processors have instructions for it, as most do
    parts = (x.coalesce().indices(), x.coalesce().values()) if is_sparse(x) else (x,)
    for part in parts:
        for (piece,) in pieces(part):
            seen.update(_bytes(piece))
    seen.update(f"{tuple(x.shape)} {x.dtype}".encode())
    return seen.hexdigest()[:32]


def _bytes(x: Array) -> Any:
    import numpy as np

    if is_torch_array(x):
        return x.detach().cpu().contiguous().reshape(-1).view(array_namespace(x).uint8).numpy()
    flat = np.ascontiguousarray(x).reshape(-1)
    return flat.tobytes() if flat.dtype.hasobject else flat.view(np.uint8)


@dataclass(frozen=True)
class Digest:
    """Stands for an array.

    Args:
        value: Its digest.
    """

    value: str


def fingerprints(tree: Tree) -> dict[str, Any]:
    """Every leaf by dotted name, of each array its digest alone: `differing` tells two of them apart as it would trees.

    Arrays of Python objects stand for themselves.
    """
    return {name: Digest(digest(leaf)) if _has_bytes(leaf) else leaf for name, leaf in leaves(tree)}


def _has_bytes(leaf: Any) -> bool:
    return is_array_api_obj(leaf) and not getattr(leaf.dtype, "hasobject", False)


def is_floating(x: Array) -> bool:
    """Whether the array holds real floating-point numbers."""
    return bool(array_namespace(x).isdtype(x.dtype, "real floating"))


def are_scores(x: Any) -> bool:
    """Whether it is an array of real numbers or truth values with at least one axis."""
    real = ("real floating", "integral", "bool")
    return is_array_api_obj(x) and len(x.shape) > 0 and bool(array_namespace(x).isdtype(x.dtype, real))


def floating(tree: Tree) -> dict[str, Array]:
    """The floating-point arrays of a tree by dotted name."""
    return {name: leaf for name, leaf in leaves(tree) if is_array_api_obj(leaf) and is_floating(leaf)}


def all_finite(x: Array) -> bool:
    """Whether no element is NaN or infinite."""
    xp = array_namespace(x)
    held = x.coalesce().values() if is_sparse(x) else x
    return not is_floating(x) or all(bool(xp.all(xp.isfinite(piece))) for (piece,) in pieces(held))


def total(x: Array) -> int:
    """How many elements of a boolean array are true."""
    xp = array_namespace(x)
    return int(xp.sum(xp.astype(x, xp.int64)))


def extremes(x: Array) -> tuple[float, float]:
    """The smallest and the largest element."""
    xp = array_namespace(x)
    return float(xp.min(x).item()), float(xp.max(x).item())


def tree_finite(tree: Tree) -> bool:
    """Whether no array of the tree has an element that is NaN or infinite."""
    return all(all_finite(leaf) for _, leaf in leaves(tree) if is_array_api_obj(leaf))


def varies(tree: Tree) -> bool:
    """Whether any array of the tree differs between examples (axis 0)."""
    return any(not bool(array_namespace(x).all(x == x[:1])) for _, x in leaves(tree) if is_array_api_obj(x) and x.ndim)


def same(a: Any, b: Any) -> bool:
    """Whether two leaves are equal bit for bit, NaN being equal to itself."""
    if is_array_api_obj(a) is not is_array_api_obj(b):
        return False
    if not is_array_api_obj(a):
        return repr(a) == repr(b) if isinstance(a, float) and isinstance(b, float) else bool(a == b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return all(_same(*pair) for pair in pieces(a, b))


def _same(a: Array, b: Array) -> bool:
    xp = array_namespace(a)
    equal = (a == b) | ((a != a) & (b != b))
    if is_floating(a):
        equal = equal & ((xp.signbit(a) == xp.signbit(b)) | (a != a))
    return bool(xp.all(equal))


def differing(a: Tree, b: Tree) -> list[str]:
    """Names of the leaves that differ between two trees, or are in one alone."""
    left, right = dict(leaves(a)), dict(leaves(b))
    names = list(left) + [name for name in right if name not in left]
    return [n for n in names if n not in left or n not in right or not same(left[n], right[n])]


def norm(x: Array) -> float:
    """The Euclidean norm over all elements, summed in double precision."""
    held = x.coalesce().values() if is_sparse(x) else x
    return math.sqrt(_total([_product(piece, piece) for (piece,) in pieces(held)]))


def dot(x: Array, y: Array) -> float:
    """The inner product over all elements of arrays of one shape, summed in double precision."""
    if is_sparse(x):
        x, y = _where_held(x, y)
    elif is_sparse(y):
        y, x = _where_held(y, x)
    return _total([_product(*pair) for pair in pieces(x, y)])


def _product(x: Array, y: Array) -> Array:
    xp = array_namespace(x, y)
    left = xp.astype(x, xp.float64, copy=False)
    return xp.sum(left * (left if y is x else xp.astype(y, xp.float64, copy=False)))


def _total(found: list[Array]) -> float:
    whole = found[0]
    for piece in found[1:]:
        whole = whole + piece
    return float(whole.item())  # the one number that crosses to the host


def _where_held(sparse: Array, other: Array) -> tuple[Array, Array]:
    """What both have where the sparse one holds anything."""
    held = sparse.coalesce()
    whole = other.to_dense() if is_sparse(other) else other
    return held.values(), whole[tuple(held.indices())]


def plus(x: Array, scale: float, way: Array) -> Array:
    """A new array, x + scale * way, made piece by piece; `way` may be of a smaller type."""
    xp = array_namespace(x)
    if not (is_torch_array(x) or is_numpy_array(x)):
        return x + scale * xp.astype(way, x.dtype)
    there = duplicate(x)
    for place, along in pieces(there, way):
        place += scale * xp.astype(along, x.dtype, copy=False)  # a view
    return there


def like(x: Array, values: Any) -> Array:
    """NumPy's values as an array of the library, type and device of `x`."""
    return array_namespace(x).asarray(values, dtype=x.dtype, device=device(x))


def on_host(x: Array) -> Any:
    """The array as NumPy's, on the host; a sparse one dense, bfloat16, which NumPy lacks, in single precision."""
    import numpy as np

    if not is_torch_array(x):
        return np.asarray(x)
    plain = (x.to_dense() if x.is_sparse else x).detach().cpu()
    return plain.float().numpy() if str(plain.dtype) == "torch.bfloat16" else plain.numpy()


def channel_axis(shape: tuple[int, ...]) -> int | None:
    """Where the channels of an example of this shape lie: its first or last axis, the shorter one; None if neither is.

    Images are (C, H, W) or (H, W, C) with few channels, sequences (T, D) or (D, T); a gray image (H, W) has none.
    """
    if len(shape) < 2 or shape[0] == shape[-1]:
        return None
    return 0 if shape[0] < shape[-1] else len(shape) - 1
