"""What cures a run that fails: one thing changed at a time, from the same saved state, for a bounded number of steps.

A checklist can say what often helps; a tool that drives the program can find out. Each treatment takes away one
possible cause, and where the run then goes well, that cause is found: evidence, not advice. All is done to a trainer
that is borrowed from the bench, which puts it back.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from babysit.errors import LostError, Skip, TargetError

if TYPE_CHECKING:
    from babysit.driving.bench import Bench
    from babysit.driving.guard import Driven
    from babysit.trainer import Array, Batch, Output, Tree

STANDARDIZED = "standardized inputs"
REDRAWN = "weights drawn anew for their nonlinearities"
PLAIN = "plain gradients instead of the program's own update"
UNREGULARIZED = "all regularization off"
RATE = "a learning rate of {:.3g}"

ADVICE = {
    STANDARDIZED: "Scale the inputs: subtract the mean of the training data, divide by its standard deviation.",
    REDRAWN: "Initialize the weights for the nonlinearity behind them (He, Xavier) and the biases with 0.",
    PLAIN: "Look at the update: what the optimizer holds, clipping, accumulation, the order of zero_grad, backward and "
    "step.",
    UNREGULARIZED: "Regularize less: lower the weight decay, the penalty or the dropout.",
}

EXAMPLES = 512  # traced to see what stands behind each layer of weights; as many as check-init looks at
ROUNDING = 1e-6  # of its mean, that a feature's spread must exceed to be one: single precision's epsilon is 1.2e-7
CENTERED = 0.5  # of a standard deviation, that a mean may be off, and
SCALED = 2.0  # times one, that a standard deviation may be off, for inputs that count as standardized already

Step: TypeAlias = "Callable[[Batch], Output]"


@dataclass(frozen=True)
class Treatment:
    """One change.

    Args:
        name: What is different with it.
        begin: Changes the borrowed trainer, and gives how to step from there on.
        prepare: Changes a batch.
    """

    name: str
    begin: "Callable[[Driven], Step]"
    prepare: "Callable[[Batch], Batch]" = lambda batch: batch


@dataclass(frozen=True)
class Treated:
    """What became of a run under a treatment.

    Args:
        treatment: Its name.
        cured: Whether the run went well.
        loss: The loss that was reached; NaN or infinite where it exploded.
        steps: Updates until then.
    """

    treatment: str
    cured: bool
    loss: float
    steps: int

    def __str__(self) -> str:
        went = "cured" if self.cured else "in vain"
        return f"{went}, loss {self.loss:.3g} after {self.steps} updates"


def cures(treated: Iterable[Treated]) -> list[Treated]:
    """Those that cured, the one that tells most first: plain gradients, which need no rate, last."""
    return sorted((t for t in treated if t.cured), key=lambda t: (t.treatment == PLAIN, t.steps))


def sentence(treated: Sequence[Treated]) -> str:
    """What the treatments have shown, as a sentence with a blank before it; empty where there were none."""
    found = cures(treated)
    if found:
        told = "; ".join(f"with {t.treatment} it reaches {t.loss:.2g} in {t.steps} steps" for t in found)
        return f" {told[0].upper()}{told[1:]}."
    tried = ", ".join(t.treatment for t in treated)
    return f" Tried in vain: {tried}." if tried else ""


def advice(treated: Sequence[Treated], otherwise: str) -> str:
    """What to do, by what cured it; `otherwise` where nothing did."""
    found = cures(treated)
    return ADVICE.get(found[0].treatment, f"Train with {found[0].treatment}.") if found else otherwise


def treatments(bench: "Bench", plain: "Callable[[Driven], Step]") -> Iterator[Treatment]:
    """Those that can be tried on this trainer and would change something.

    Args:
        bench: Nothing of it is borrowed yet.
        plain: How to step by plain gradients.
    """
    from babysit.trainer import SupportsParameters

    standardize = standardizer(bench.pool())
    if standardize is not None:
        yield Treatment(STANDARDIZED, lambda trainer: trainer.step, standardize)
    if not bench.trainer.supports(SupportsParameters):
        return
    fresh = drawn_anew(bench)

    def redraw(trainer: "Driven") -> Step:
        trainer.set_parameters(fresh)
        return trainer.step

    if fresh:
        yield Treatment(REDRAWN, redraw)
    yield Treatment(PLAIN, plain)


@dataclass(frozen=True)
class _Scaling:
    mean: Any
    spread: Any


def standardizer(batches: "Sequence[Batch]") -> "Callable[[Batch], Batch] | None":
    """What gives each feature of the inputs mean 0 and variance 1 over these batches; None if it would change little.

    A feature is a column of a table or a channel of images and sequences. Features that don't vary are centered; whole
    numbers, which may be names, are left alone.
    """
    from babysit import arrays

    if len({tuple(path for path, _ in arrays.leaves(batch[0])) for batch in batches}) > 1:
        return None  # batches of different make
    found: list[_Scaling | None] = []

    def scaling(*parts: "Array") -> _Scaling | None:
        found.append(_scaling(parts))
        return found[-1]

    scalings: Tree = arrays.tree_map(scaling, *(batch[0] for batch in batches))
    if not any(found):
        return None

    def scaled(leaf: Any, by: _Scaling | None) -> Any:
        if by is None:
            return leaf
        return (leaf - arrays.like(leaf, by.mean)) / arrays.like(leaf, by.spread)

    return lambda batch: (arrays.tree_map(scaled, batch[0], scalings), batch[1])


def _scaling(parts: "Sequence[Any]") -> _Scaling | None:
    """Mean and spread of each feature; None where these are no amounts, not finite, or standardized already."""
    import numpy as np
    from array_api_compat import is_array_api_obj

    from babysit import arrays
    from babysit.arrays import channel_axis

    if not is_array_api_obj(parts[0]) or not arrays.is_floating(parts[0]) or parts[0].ndim < 2:
        return None
    axis = channel_axis(tuple(parts[0].shape[1:]))
    kept = {0: 1, None: None}.get(axis, parts[0].ndim - 1) if parts[0].ndim > 2 else 1
    if len({p.shape[1:] for p in parts}) > 1:
        return None
    mean, spread = _mean_and_spread([arrays.on_host(p) for p in parts], kept)
    varies = spread > ROUNDING * abs(mean)
    near = (abs(mean) <= CENTERED * spread) & (spread <= SCALED) & (spread >= 1 / SCALED)
    if not np.isfinite(spread).all() or not varies.any() or near[varies].all():
        return None
    return _Scaling(mean[0], np.where(varies, spread, 1.0)[0])


def _mean_and_spread(parts: "Sequence[Any]", kept: int | None) -> tuple[Any, Any]:
    """Over all axes but one; they keep a length of 1. The spread is NaN where the mean is not finite."""
    import numpy as np

    from babysit.tasks.blocks import row_blocks

    others = tuple(axis for axis in range(parts[0].ndim) if axis != kept)
    count = sum(part.size for part in parts) / (1 if kept is None else parts[0].shape[kept])
    mean = sum(block.sum(others, keepdims=True) for block in row_blocks(parts)) / count
    if not np.isfinite(mean).all():
        return mean, np.full_like(mean, np.nan)
    squares = sum(np.square(block - mean).sum(others, keepdims=True) for block in row_blocks(parts))
    return mean, np.sqrt(squares / count)


def drawn_anew(bench: "Bench") -> "dict[str, Array]":
    """Fresh weights for linear layers, biases zero; empty where the layers can't be followed.

    Drawn from a normal distribution with the spread that the nonlinearity behind the layer wants (He et al. 2015,
    Glorot & Bengio 2010).
    """
    import numpy as np

    from babysit import arrays
    from babysit.measuring import layers, weights

    try:
        found = layers.layers(bench, EXAMPLES)
        looked = weights.looked_at(bench, found, 0)
    except LostError:
        raise
    except (Skip, TargetError):
        return {}
    held = bench.trainer.parameters()
    draw = np.random.default_rng(0)
    fresh = {w.name: arrays.like(held[w.name], draw.normal(0.0, w.wanted, held[w.name].shape)) for w in looked}
    if not fresh:
        return {}
    return fresh | {name: arrays.zeros_like(held[name]) for name in weights.biases(found, held)}
