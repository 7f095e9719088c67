"""What `plain` gives, fast on PyTorch: over views, in blocks that stay in the processor's cache."""

import math
from collections.abc import Iterator
from typing import TypeAlias

import torch
from torch import Tensor

from babysit.measuring.reductions.plain import RECTIFIED, SATURATED, Reduced
from babysit.measuring.reductions.plain import reduced as plain

BLOCK = 2**16  # elements reduced at a time on the CPU: 256 KiB in single precision, the size of a usual L2 cache
TANH_LIMIT = math.sqrt(1 - SATURATED)  # 1 - y^2 < SATURATED
LEAST = 1e-30  # sums of squares under it may have lost digits to single precision's smallest numbers
SIGMOID_LIMIT = math.sqrt(1 - SATURATED) / 2  # 4 y (1 - y) < SATURATED, as a distance from 1/2


# Sum of each unit, sum of squares, largest and smallest value of each unit, saturated and positive values.
Block: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None, Tensor | None]


def reduced(array: Tensor, unit_axis: int, kind: str) -> Reduced:
    """What `babysit.measuring.reductions.plain.reduced` gives, to single precision's rounding."""
    blocks = [_of_block(block, kind) for block in _blocks(array.detach(), unit_axis)]
    if not blocks:
        return plain(array, unit_axis, kind)
    total, squares, largest, least, saturated, positive = blocks[0] if len(blocks) == 1 else _together(blocks)
    total, squares = total.double(), squares.double()
    if array.device.type == "cpu" and not LEAST < float(squares) < math.inf and bool(array.any()):
        return plain(array, unit_axis, kind)  # squares that single precision can't hold
    through = positive
    if kind == "tanh":
        through = array.numel() - squares
    elif kind == "sigmoid":
        through = 4 * (total.sum() - squares)
    return Reduced(array.numel() // array.shape[unit_axis], total, squares, largest, least, saturated, through)


def _together(blocks: list[Block]) -> Block:
    sums, squares, largest, least, saturated, positive = zip(*blocks, strict=True)
    return (
        torch.stack(sums).sum(0, dtype=torch.float64),
        torch.stack(squares).sum(dtype=torch.float64),
        torch.stack(largest).amax(0),
        torch.stack(least).amin(0),
        None if saturated[0] is None else torch.stack(saturated).sum(),
        None if positive[0] is None else torch.stack(positive).sum(),
    )


def _blocks(array: Tensor, axis: int) -> Iterator[Tensor]:
    """Blocks (n, units, rest) of the array, which is copied only if its units lie neither last nor second."""
    axis %= array.ndim
    units = array.shape[axis]
    last = array.movedim(axis, -1)
    if last.is_contiguous() or axis != 1 or not array.is_contiguous():
        whole = last.reshape(-1, units, 1)
    else:
        whole = array.view(array.shape[0], units, -1)
    if whole.device.type != "cpu":
        yield whole
        return
    rows = max(1, BLOCK // max(1, whole[0].numel()))
    for start in range(0, whole.shape[0], rows):
        yield whole[start : start + rows]


def _of_block(block: Tensor, kind: str) -> Block:
    """Sum, squares, max, min, saturated and positive values; the middle ones of each unit."""
    if block.dtype not in (torch.float32, torch.float64):
        block = block.float()
    flat = block.reshape(-1)
    least, largest = _extremes(block)
    saturated = positive = None
    if kind == "tanh":
        saturated = _positive(flat.abs().sub_(TANH_LIMIT))
    elif kind == "sigmoid":
        saturated = _positive((flat - 0.5).abs_().sub_(SIGMOID_LIMIT))
    elif kind in RECTIFIED:
        positive = _positive(flat)
    sums = block.sum((0, 2)) if block.shape[2] == 1 else block.sum(2).sum(0)
    return sums, torch.dot(flat, flat), largest, least, saturated, positive


def _positive(flat: Tensor) -> Tensor:
    """How many values are above 0; a comparison, which makes truth values, takes ten times as long on the CPU."""
    return flat.clamp(min=0).sign_().sum()


def _extremes(block: Tensor) -> tuple[Tensor, Tensor]:  # (n, units, rest) -> (units,), (units,)
    if block.shape[2] == 1:  # twice, since `aminmax` over an axis is ten times slower than both
        return block[:, :, 0].amin(0), block[:, :, 0].amax(0)
    return block.amin(2).amin(0), block.amax(2).amax(0)
