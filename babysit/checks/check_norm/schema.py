"""What can be set of `check-norm`, and what it measures."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from babysit.check import setting

SHRINKS = 0.9  # running statistics still settle where the gap falls below this share of itself within a round
NEGLIGIBLE = 0.1  # share of what training gained, up to which nobody waits for a gap to shrink


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
class Units:
    """Statistics of a layer's units in each of several batches, in NumPy arrays (batches, units).

    Args:
        values: Values of each unit in a batch.
        mean: Means.
        variance: Variances.
    """

    values: int
    mean: Any
    variance: Any


@dataclass(frozen=True)
class Look:
    """Some batches in one mode.

    Args:
        losses: Data loss of each batch.
        units: By the name of the norm, what comes out of it.
    """

    losses: tuple[float, ...]
    units: Mapping[str, Units]

    @property
    def loss(self) -> float:
        """The mean over the batches."""
        return statistics.fmean(self.losses)


@dataclass(frozen=True)
class Dependence:
    """How the scores of examples change when the others of their batch are replaced by copies of them.

    Args:
        change: The largest change, over how much scores vary from example to example; NaN where it can't be told.
        noise: The same between two equal evaluations.
        vary: Whether the scores vary over the examples.
        reason: Why it can't be told; empty where it can.
    """

    change: float = math.nan
    noise: float = math.nan
    vary: bool = True
    reason: str = ""

    def beyond(self, tolerance: float) -> bool:
        """Whether scores change more than this, and more than a second evaluation changes them."""
        return self.change > tolerance + 3 * self.noise


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
