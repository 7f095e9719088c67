"""How `check-norm` measures."""

import math
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

from babysit.checks.check_norm.schema import Dependence, Layer, Look, Measurement, Settings
from babysit.driving.budget import Needs
from babysit.errors import LostError, Skip, TargetError

if TYPE_CHECKING:
    from babysit.driving.bench import Bench
    from babysit.driving.guard import Driven
    from babysit.trainer import Batch

PROBE = 16  # examples in which layers are told apart; a line through fewer would say little
BATCHES = 8  # whose two modes are compared, and by which running statistics settle


def needs(settings: Settings, batch: int) -> Needs:
    """A dozen steps' time of traces and evaluations, and the steps in which running statistics settle, if any.

    The updates before are those of check-init.
    """
    return Needs(15.0, 15.0 + settings.settle)


def measure(bench: "Bench", settings: Settings) -> Measurement:
    """Change neighbours, train, change them again; then let the running statistics settle."""
    from babysit.checks.check_norm.batch_coupling import dependence
    from babysit.checks.check_norm.train_eval import look

    size, batches = _usual(bench)
    probed = bench.subset(PROBE * bench.trainer.ranks.size)
    with bench.borrowed(scale=0.0) as trainer:
        at_start = dependence(trainer, batches[0])
        initial = look(trainer, batches, (), training=True)
        constant, unseen = _constant(trainer, probed)
    diverged = Dependence(reason="the loss ceased to be finite in training")
    with bench.trained(settings.steps) as (trainer, made):
        trainer.regularization_scale = 0.0
        found = Measurement(size, made, unseen, at_start, diverged, initial_loss=initial.loss)
        if made < settings.steps or not math.isfinite(trainer.evaluate(batches[0], training=True).loss):
            return found
        found = replace(found, after=dependence(trainer, batches[0]))
        if not unseen:
            found = _followed(trainer, found, batches[0], probed, settings)
            still = _constant(trainer, probed)[0] if constant else ()
            found = replace(found, constant=tuple(name for name in constant if name in still))
        return _compared(bench, trainer, found, batches, initial, settings)


def _usual(bench: "Bench") -> tuple[int, list["Batch"]]:
    """The median size of the pool's batches, and some batches of that size, spread evenly over the pool."""
    from babysit import arrays

    pool = bench.pool()
    sizes = [arrays.count(batch) for batch in pool]
    size = statistics.median_high(sizes)
    alike = [batch for batch, count in zip(pool, sizes, strict=True) if count == size]
    chosen = min(BATCHES, len(alike))
    return size, [alike[k * len(alike) // chosen] for k in range(chosen)]


def _constant(trainer: "Driven", batch: "Batch") -> tuple[tuple[str, ...], str]:
    """Norms with a constant output, or why none can be seen."""
    from babysit import arrays
    from babysit.checks.check_norm.normalization import constant_norms

    try:
        return constant_norms(trainer, batch), ""
    except Skip as skip:
        return (), str(skip)
    except LostError:
        raise
    except TargetError as error:
        return (), f"the program can't take a batch of {arrays.count(batch)} examples: {error}"


def _followed(
    trainer: "Driven", found: Measurement, batch: "Batch", probed: "Batch", settings: Settings
) -> Measurement:
    """With what a trace shows after the steps."""
    from babysit.checks.check_norm.batch_coupling import first_mixed
    from babysit.checks.check_norm.normalization import idle_biases, probe
    from babysit.trainer import SupportsParameters

    norms = probe(trainer, probed)
    biases = idle_biases(trainer, batch, norms) if trainer.supports(SupportsParameters) else {}
    layers = []
    for norm in norms:
        examples = found.examples if norm.synchronized else found.examples // trainer.ranks.size
        bias, gradient = biases.get(norm.name, ("", math.nan))
        values = examples * norm.positions
        layers.append(Layer(norm.name, norm.named, norm.units, examples, values, norm.over_batch, bias, gradient))
    mixed_in = first_mixed(trainer, batch, settings.leak) if found.after.beyond(settings.leak) else ""
    return replace(found, layers=tuple(layers), mixed_in=mixed_in)


def _compared(
    bench: "Bench",
    trainer: "Driven",
    found: Measurement,
    batches: list["Batch"],
    initial: Look,
    settings: Settings,
) -> Measurement:
    """With both modes on the same batches, and evaluation mode again as the running statistics settle."""
    from babysit.checks.check_norm.batch_coupling import dependence
    from babysit.checks.check_norm.train_eval import alike, error, look, settling

    names = [layer.name for layer in found.over_batch]
    training = look(trainer, batches, names, training=True)
    looks = [(0, look(trainer, batches, (), training=False))]
    if not alike(training, looks[0][1]):
        mixes = bool(names) or dependence(trainer, batches[0], training=True).beyond(settings.leak)
        found = replace(found, mixes_in_training=mixes)
        gained = initial.loss - training.loss
        looks += settling(bench, trainer, batches, training, gained, settings.settle, settings.apart)
    return replace(
        found,
        layers=_apart(found.layers, training, looks),
        training_loss=training.loss,
        settled=tuple(steps for steps, _ in looks),
        evaluation_losses=tuple(seen.loss for _, seen in looks),
        gain_error=error(initial, training),
        gap_error=error(looks[-1][1], training),
    )


def _apart(layers: tuple[Layer, ...], training: Look, looks: list[tuple[int, Look]]) -> tuple[Layer, ...]:
    """The layers with how far their modes stand apart in the end, and how fast they came together."""
    from babysit.checks.check_norm.train_eval import gap, momentum

    found = []
    for layer in layers:
        units = training.units.get(layer.name)
        gaps = [(at, gap(units, seen.units[layer.name])) for at, seen in looks if units and layer.name in seen.units]
        if len(gaps) >= 2:
            (start, first), (end, second), last = gaps[0], gaps[1], gaps[-1][1]
            pace, told_by = momentum(first, second, end - start)
            moved = replace(layer, share=last.share, shift=last.shift, stretch=last.stretch)
            found.append(replace(moved, momentum=pace, told_by=told_by))
        else:
            found.append(layer)
    return tuple(found)
