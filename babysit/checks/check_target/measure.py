"""How `check-target` measures."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from babysit.checks.check_target.consistency import output_problem
from babysit.checks.check_target.schema import Measurement, Settings
from babysit.driving.budget import EVALUATION, Needs
from babysit.driving.updates import CALLS
from babysit.errors import LostError, Skip, TargetError

if TYPE_CHECKING:
    from babysit.driving.bench import Bench
    from babysit.driving.guard import Driven
    from babysit.trainer import Batch, Output


def needs(settings: Settings, batch: int) -> Needs:
    """The updates, made twice, and a dozen evaluations."""
    return Needs(*(2 * settings.steps + 12 * EVALUATION,) * 2)


@dataclass(frozen=True)
class _Replay:
    losses: tuple[float, ...]
    parameters: int
    moved: int
    skipped: int


def measure(bench: "Bench", settings: Settings) -> Measurement:
    """Evaluate, step, load, and step again, comparing states bit for bit."""
    from babysit import arrays

    batch = bench.pool()[0]
    with bench.borrowed() as trainer:
        start = _fingerprints(trainer)
        losses = [trainer.evaluate(batch).loss for _ in range(3)]
        evaluation_changed = arrays.differing(start, _fingerprints(trainer))
    with bench.borrowed() as trainer:
        output = trainer.evaluate(batch, training=True)
        training_changed = arrays.differing(start, _fingerprints(trainer))
        problem = output_problem(trainer, batch, output)

    reseeded = _reseeded(bench, batch, None)
    first, saved = _replay(bench, batch, settings, loaded=False)
    not_restored = arrays.differing(start, _fingerprints(bench.trainer))
    again, loaded = _replay(bench, batch, settings, loaded=True)
    keeps = "load" if arrays.differing(start, loaded) else ""
    return Measurement(
        examples=arrays.count(batch),
        learning_rate=bench.trainer.learning_rate,
        evaluation_changed=tuple(evaluation_changed),
        training_evaluation_changed=tuple(training_changed),
        reseeded_losses=reseeded,
        unregularized_losses=_reseeded(bench, batch, 0.0) if len(set(reseeded)) > 1 else (),
        evaluation_losses=tuple(losses),
        parameters=first.parameters,
        moved=first.moved,
        gradients_zero=first.moved == 0 and _gradients_zero(bench, batch),
        steps_skipped=first.skipped,
        not_restored=tuple(not_restored),
        aliased="save" if arrays.differing(start, saved) else keeps,
        first_losses=first.losses,
        replayed_losses=again.losses,
        output_problem=problem,
        placement=bench.trainer.placement,
    )


def _reseeded(bench: "Bench", batch: "Batch", scale: float | None) -> tuple[float, ...]:
    """The loss in evaluation mode under three seeds: an evaluation that puts generators back repeats its own noise."""
    from babysit import seeds
    from babysit.driving.ranks import launched_rank

    losses = []
    with bench.borrowed(scale=scale) as trainer:
        for seed in range(3):
            seeds.seed_everything(seed + launched_rank())
            losses.append(trainer.evaluate(batch).loss)
    return tuple(losses)


def _gradients_zero(bench: "Bench", batch: "Batch") -> bool:
    """Whether gradients are known and all zero."""
    from babysit import arrays
    from babysit.trainer import SupportsParameters

    if not bench.trainer.supports(SupportsParameters):
        return False
    try:
        with bench.borrowed() as trainer:
            return not any(arrays.norm(gradient) for gradient in trainer.gradients(batch)[1].values())
    except LostError:
        raise
    except (Skip, TargetError):  # that nothing moved is to be told all the same
        return False


def _fingerprints(trainer: "Driven") -> dict[str, Any]:
    """What tells the state in which the trainer stands from all others."""
    from babysit import arrays

    return arrays.fingerprints(trainer.save())


def _replay(bench: "Bench", batch: "Batch", settings: Settings, *, loaded: bool) -> tuple[_Replay, dict[str, Any]]:
    """Steps from the start, and what has become of the state that was loaded, or saved, ahead of them."""
    from babysit import arrays

    with bench.borrowed() as trainer:
        held = bench.snapshot() if loaded else trainer.save()
        if loaded:
            trainer.load(held)
        before = _movable(trainer)
        outputs = _steps(trainer, batch, settings.steps)
        moved = len(arrays.differing(before, _movable(trainer)))
        losses = (*(o.loss for o in outputs), trainer.evaluate(batch, training=True).loss)
        skipped = sum(not o.updated for o in outputs)
    return _Replay(losses, len(before), moved, skipped), arrays.fingerprints(held)


def _movable(trainer: "Driven") -> dict[str, Any]:
    """What tells whether a step has moved the parameters, or any real numbers where they can't be named."""
    from babysit import arrays
    from babysit.trainer import SupportsParameters

    named = trainer.supports(SupportsParameters)
    return arrays.fingerprints(dict(trainer.parameters()) if named else arrays.floating(trainer.save()))


def _steps(trainer: "Driven", batch: "Batch", updates: int) -> list["Output"]:
    """Step until there were so many updates; a program that accumulates gradients takes several steps for one."""
    outputs: list[Output] = []
    made = since = 0
    while made < updates and since < CALLS:
        outputs.append(trainer.step(batch))
        made, since = made + outputs[-1].updated, 0 if outputs[-1].updated else since + 1
    return outputs
