"""Does the network compute the same in evaluation as in training, each example by itself?

Batch normalization has two faces: batch statistics in training, running ones in evaluation (CS231n, lecture 6, "batch
normalization"). After some steps both are held against each other, layer by layer, while the running statistics
settle at a learning rate of 0. And whatever the layers are: the neighbours of an example are changed, which may not
change its scores in evaluation.
"""

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from babysit.check import setting
from babysit.driving.budget import Needs
from babysit.errors import LostError, Skip, TargetError
from babysit.mixing import Dependence
from babysit.modes import Look
from babysit.norm_rules import (
    batch_leak,
    frozen_statistics,
    redundant_bias,
    tiny_norm_batch,
    train_eval_gap,
    zero_gamma,
)
from babysit.report import Exhibit, Fact, Table

if TYPE_CHECKING:
    from babysit.driving.bench import Bench
    from babysit.driving.guard import Driven
    from babysit.trainer import Batch

ORDER = 40
BLOCKED_BY = ("state-not-restored", "ranks-diverge", "step-changes-nothing", "inputs-not-finite")
RULES = (batch_leak, tiny_norm_batch, frozen_statistics, train_eval_gap, zero_gamma, redundant_bias)
PROBE = 16  # examples in which layers are told apart; a line through fewer would say little
BATCHES = 8  # whose two modes are compared, and by which running statistics settle


@dataclass(frozen=True)
class Settings:
    """Settings of `check-norm`."""

    steps: int = setting(
        50, "updates at the user's learning rate before the modes are compared", least=1, option=True, measures=True
    )
    settle: int = setting(
        30,
        "steps at a learning rate of 0 in which running statistics settle: at a momentum of 0.1 (PyTorch's default) "
        "4 % of a gap are left; where no layers can be seen, as many again, up to ten times, while the gap shrinks",
        least=6,
        measures=True,
    )
    leak: float = setting(
        1e-3,
        "change of an example's scores with its neighbours, over how much scores vary over examples, from where it is "
        "one: batches of equal shape are summed in equal order, so that nothing should change, and even in another "
        "order single precision stays within 1e-5",
        above=0.0,
        measures=True,
    )
    few_values: int = setting(
        3,
        "values of a unit in a batch up to which normalizing is an error: n values less their mean and spread leave "
        "n - 2 numbers, and two values become -1 and 1 whatever they are",
        least=0,
    )
    few_examples: int = setting(
        4,
        "examples in a batch up to which normalizing over it is a warning: on ImageNet, batch norm's error rises by "
        "3.7 points at 4 images and by 11 at 2 (Wu and He 2018, Group Normalization, table 2)",
        least=0,
    )
    some_lost: float = setting(
        0.5, "share of what training gained that is lost in evaluation mode, from where it is a warning", above=0.0
    )
    all_lost: float = setting(
        1.0, "the same for an error; at 1 evaluation is no better than before any training", above=0.0
    )
    gained: float = setting(
        0.25,
        "share of the first loss that training must have gained for a gap to be held against it: deep networks with "
        "batches of 8 lose half of less than that without harm",
        above=0.0,
    )
    sigmas: float = setting(
        3.0, "standard errors over batches beyond which a gap, or a gain, is none of chance", above=0.0
    )
    apart: float = setting(
        0.25,
        "share of a layer's units that must stand off in evaluation for the layer to be named",
        above=0.0,
        most=1.0,
        measures=True,
    )
    mostly: float = setting(
        0.5, "the same, for statistics that stay off though they had time to settle to be taken for another's",
        above=0.0, most=1.0,
    )  # fmt: skip
    frozen: float = setting(
        5e-4,
        "momentum (the share of a batch's statistics that is taken in) under which running statistics count as frozen: "
        "they need 2,000 steps to follow; the defaults are 0.1 (PyTorch) and 0.01 (Keras), "
        "TF-Slim's Inception has 0.0003",
        above=0.0,
        most=1.0,
    )
    slow: float = setting(
        5e-3, "momentum under which a warning is due: 200 steps to follow; TensorFlow's ResNet has 0.003", above=0.0,
        most=1.0,
    )  # fmt: skip
    fewest: int = setting(
        4,
        "units that must tell a momentum for it to be judged where nothing is lost yet, so that it is no accident",
        least=1,
    )
    no_gradient: float = setting(
        1e-3,
        "gradient of a bias over that of the shift behind it, under which the bias has no effect: exactly 0 but for "
        "single precision's 1e-6, while a bias that is used elsewhere too has one of the same size",
        above=0.0,
    )


def needs(settings: Settings, batch: int) -> Needs:
    """A dozen steps' time of traces and evaluations, and the steps in which running statistics settle, if any.

    The updates before are those of check-init.
    """
    return Needs(15.0, 15.0 + settings.settle)


@dataclass(frozen=True)
class Layer:
    """A layer that normalizes.

    Args:
        name: Its name, or that of the layer that it feeds.
        named: Whether it is seen itself, rather than by what it does to the input of the layer `name`.
        units: Its units.
        examples: Examples that it normalizes together in the program's usual batch.
        values: Values of each unit in the program's usual batch.
        over_batch: Whether it normalizes over the batch.
        bias: Name of a bias right before it; empty if there is none.
        bias_gradient: Length of the bias's gradient over that of the layer's own parameters; NaN if unknown.
        share: Share of its units that stand off in evaluation mode, once settled; NaN if unknown.
        shift: How far, as the root mean square difference of their means, in spreads.
        stretch: Typical factor between their spreads in the two modes, 1 or more.
        momentum: Share of a batch's statistics that the running ones take in at a step, at most; NaN if unknown.
        told_by: Units that tell the momentum.
    """

    name: str
    named: bool
    units: int
    examples: int
    values: int
    over_batch: bool
    bias: str = ""
    bias_gradient: float = math.nan
    share: float = math.nan
    shift: float = math.nan
    stretch: float = math.nan
    momentum: float = math.nan
    told_by: int = 0

    @property
    def words(self) -> str:
        """The layer in a sentence."""
        return self.name if self.named else f"the normalization ahead of {self.name}"


@dataclass(frozen=True)
class Measurement:
    """The same examples in both modes, and beside other neighbours.

    Args:
        examples: Examples in a usual batch: the median of the pool's.
        steps: Updates made before the modes were compared.
        unseen: Why no layers can be seen; empty where they can.
        at_start: How scores in evaluation mode change with an example's neighbours, before any training.
        after: The same after the steps.
        mixed_in: The layer where that begins; empty if none was seen.
        layers: Layers that normalize, in the order of the calls.
        constant: Norms whose output is the same for all examples, at the start and after the steps.
        mixes_in_training: Whether scores in training mode change with the neighbours, dropout off.
        initial_loss: In training mode before any training; dropout is off here and in all that follows.
        training_loss: The same after the steps.
        settled: Steps at a learning rate of 0 after which evaluation mode was looked at.
        evaluation_losses: Losses of the same batches in evaluation mode, after each of these.
        gain_error: Standard error of what training gained.
        gap_error: Standard error of the last of these losses less the training loss.
    """

    examples: int
    steps: int
    unseen: str
    at_start: Dependence
    after: Dependence
    mixed_in: str = ""
    layers: tuple[Layer, ...] = ()
    constant: tuple[str, ...] = ()
    mixes_in_training: bool = False
    initial_loss: float = math.nan
    training_loss: float = math.nan
    settled: tuple[int, ...] = ()
    evaluation_losses: tuple[float, ...] = ()
    gain_error: float = math.nan
    gap_error: float = math.nan

    @property
    def gain(self) -> float:
        """What training gained, in training mode."""
        return self.initial_loss - self.training_loss

    @property
    def gaps(self) -> tuple[float, ...]:
        """How much higher the loss is in evaluation mode, as running statistics settle."""
        return tuple(loss - self.training_loss for loss in self.evaluation_losses)

    @property
    def over_batch(self) -> list[Layer]:
        """The layers that normalize over the batch."""
        return [layer for layer in self.layers if layer.over_batch]


def measure(bench: "Bench", settings: Settings) -> Measurement:
    """Change neighbours, train, change them again; then let the running statistics settle."""
    from babysit.mixing import dependence
    from babysit.modes import look

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
    from babysit.norms import constant_norms

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
    from babysit.mixing import first_mixed
    from babysit.norms import idle_biases, probe
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
    from babysit.mixing import dependence
    from babysit.modes import alike, error, look, settling

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
    from babysit.modes import gap, momentum

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


def exhibits(measured: Measurement, settings: Settings) -> Iterator[Exhibit]:
    """How scores change with the neighbours, the layers, and the losses in both modes."""
    start, after = (seen.reason or f"{seen.change:.2g} of their spread" for seen in (measured.at_start, measured.after))
    yield Fact("examples in a usual batch", str(measured.examples))
    yield Fact(
        "neighbours change scores", start if start == after else f"{start}; after {measured.steps} steps {after}"
    )
    count, over = len(measured.layers), len(measured.over_batch)
    told = f"{count}, {over} of them over the batch" if count else "no normalization layer was seen"
    yield Fact("normalization layers", measured.unseen or told)
    if measured.over_batch:
        columns = ("layer", "units", "values", "mean off", "spread off", "units off", "momentum")
        yield Table("evaluation against training mode", columns, tuple(_row(layer) for layer in measured.over_batch))
    if measured.settled:
        yield Fact("loss in training mode", f"{measured.training_loss:.4g}")
        yield Fact("loss in evaluation mode", ", ".join(f"{loss:.4g}" for loss in measured.evaluation_losses))
    if len(measured.settled) > 1:
        yield Fact("after steps at rate 0", ", ".join(map(str, measured.settled)))


def _row(layer: Layer) -> tuple[str, ...]:
    known = math.isfinite(layer.share)
    return (
        layer.name if layer.named else f"ahead of {layer.name}",
        str(layer.units),
        str(layer.values),
        f"{layer.shift:.2g}" if known else "-",
        f"x {layer.stretch:.2f}" if known else "-",
        f"{layer.share:.0%}" if known else "-",
        f"{layer.momentum:.2g}" if math.isfinite(layer.momentum) else "-",
    )
