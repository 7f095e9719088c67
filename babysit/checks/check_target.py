"""Can this program be driven, and put back as it was?

Before anything is measured: an evaluation must change nothing and repeat itself, a step must change the
parameters, and loading a saved state must bring back all of it. What every other check finds rests on that.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from babysit.check import certain, rule, setting
from babysit.driving.budget import EVALUATION, Needs
from babysit.driving.updates import CALLS
from babysit.errors import LostError, Skip, TargetError
from babysit.outputs import output_problem
from babysit.report import Exhibit, Fact, Finding

if TYPE_CHECKING:
    from babysit.driving.bench import Bench
    from babysit.driving.guard import Driven
    from babysit.trainer import Batch, Output

ORDER = 0
BLOCKED_BY = ()


@dataclass(frozen=True)
class Settings:
    """Settings of `check-target`."""

    steps: int = setting(4, "updates on one batch, made twice from one saved state", least=2, measures=True)
    tolerance: float = setting(
        1e-4,
        "relative gap between two evaluations that counts as different, and share of what the steps move (of a tenth "
        "of the loss at least) for two replays; float32 sums in another order differ by about 1e-6",
        above=0.0,
    )


def needs(settings: Settings, batch: int) -> Needs:
    """The updates, made twice, and a dozen evaluations."""
    return Needs(*(2 * settings.steps + 12 * EVALUATION,) * 2)


@dataclass(frozen=True)
class Measurement:
    """What driving the program a few steps, twice, has shown.

    Args:
        examples: Examples in the batch used.
        learning_rate: The user's learning rate.
        evaluation_changed: Names in the state that an evaluation (evaluation mode) changed.
        training_evaluation_changed: The same for an evaluation in training mode.
        reseeded_losses: Losses in evaluation mode, each with the global generators seeded otherwise.
        unregularized_losses: The same with all regularization off; empty where the generators make no difference.
        evaluation_losses: Losses of one batch, evaluated again and again in evaluation mode.
        parameters: Number of named arrays that a step could move.
        moved: How many of them the steps moved.
        gradients_zero: Whether every gradient is zero, where no parameter moved.
        steps_skipped: Steps that said they updated nothing.
        not_restored: Names that differ after `load` from what was saved.
        aliased: "save" or "load" where a state that was saved, or loaded, changes as the trainer steps; else empty.
        first_losses: Loss before each step.
        replayed_losses: The same after `load`.
        output_problem: What is wrong with scores or penalty; empty if nothing is.
        placement: Where states are saved, if not beside the program's own, and why; empty otherwise.
    """

    examples: int
    learning_rate: float
    evaluation_changed: tuple[str, ...]
    training_evaluation_changed: tuple[str, ...]
    reseeded_losses: tuple[float, ...]
    unregularized_losses: tuple[float, ...]
    evaluation_losses: tuple[float, ...]
    parameters: int
    moved: int
    gradients_zero: bool
    steps_skipped: int
    not_restored: tuple[str, ...]
    aliased: str
    first_losses: tuple[float, ...]
    replayed_losses: tuple[float, ...]
    output_problem: str
    placement: str = ""


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


def exhibits(measured: Measurement, settings: Settings) -> Iterator[Exhibit]:
    """What the replay showed."""
    yield Fact("parameters moved by a step", f"{measured.moved} of {measured.parameters}")
    yield Fact("state after load", "as saved, bit for bit" if not measured.not_restored else "differs")
    pairs = zip(measured.first_losses, measured.replayed_losses, strict=True)
    same = all(_gap(a, b) == 0 for a, b in pairs)
    yield Fact("replayed losses", "the same" if same else "differ")
    if measured.placement:
        yield Fact("saved states", measured.placement)


def _gap(a: float, b: float) -> float:
    """The relative gap; 0 for two NaN, infinite for one."""
    if math.isfinite(a) and math.isfinite(b):
        return abs(a - b) / max(abs(a), abs(b), 1e-30)
    return 0.0 if str(a) == str(b) else math.inf


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


@rule
def state_not_restored(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """Loading a saved state does not bring all of it back.

    What it finds: after some steps and `load(saved)`, the state differs from what was saved; or it looks the same,
    but the same steps from it give other losses, so something that a step changes is not in `save()`.

    Why it matters: babysit tries many steps from one saved state and puts the trainer back afterwards. Without an
    exact restore its numbers are of no use, and your checkpoints lose the same thing: training resumed from one
    is not the training that stopped.

    What to try: put into `save()` all that a step changes: momentum and other optimizer state, running statistics,
    step counters, schedulers, and the random generators that dropout or sampling draw from. Return copies, not
    the arrays themselves.

    When it is wrong: on devices whose sums come out differently each time by more than `tolerance`; raise it there.

    References: Gymnasium's and scikit-learn's environment and estimator checks test the same contract.
    """
    if measured.aliased:
        saves = measured.aliased == "save"
        yield state_not_restored.error(
            f"a state that was {'saved' if saves else 'loaded'} changes as the trainer steps: {measured.aliased}() "
            f"{'returns the arrays themselves, not copies' if saves else 'keeps the arrays that it is given'}.",
            where=f"{measured.aliased}()",
            suggestion=f"Let {measured.aliased}() copy every array.",
        )
    elif measured.not_restored:
        yield state_not_restored.error(
            f"after load(saved), {len(measured.not_restored)} entries of the state differ from what was saved: "
            f"{_some(measured.not_restored)}.",
            where=measured.not_restored[0],
            suggestion="Let save() return copies of everything that a step changes, and load() write all of it back.",
            names=list(measured.not_restored),
        )
    elif not nondeterministic_evaluation(measured, settings):
        gaps = [_gap(a, b) for a, b in zip(measured.first_losses, measured.replayed_losses, strict=True)]
        steps = [_gap(a, b) for a, b in pairwise(measured.first_losses)]
        moved = max((gap for gap in steps if math.isfinite(gap)), default=0.0)
        if max(gaps, default=0.0) > settings.tolerance * max(moved, 0.1):
            step = next(i for i, gap in enumerate(gaps) if gap == max(gaps))
            a, b = measured.first_losses[step], measured.replayed_losses[step]
            yield state_not_restored.error(
                f"the same steps from the same saved state gave another loss: {a:.6g} at first, {b:.6g} after load(), "
                f"following {step} steps. Something that a step changes is missing from save().",
                suggestion="Save optimizer state (momentum), running statistics, counters and random generators too; a "
                "NumpyTrainer sees what its model or optimizer holds, not what stands in a module's globals.",
                first=list(measured.first_losses),
                replayed=list(measured.replayed_losses),
            )


@certain
@rule
def evaluate_changes_state(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """An evaluation changes the state.

    What it finds: `evaluate` left parameters, statistics or generators other than it found them, in evaluation
    mode or in training mode.

    Why it matters: measuring must not move what is measured. A validation pass that moves batch norm's running
    statistics, or trains a little, leaks validation data into the model.

    What to try: run evaluations in evaluation mode, and where training mode is asked for, put running statistics
    and generators back afterwards (a forward pass in training mode moves batch norm's statistics even without
    gradients).

    When it is wrong: a pure cache or a counter of calls in `save()` changes too, harmlessly: leave it out of the state.

    References: CS231n, lecture 6, batch normalization at test time.
    """
    for mode, names in (
        ("evaluation", measured.evaluation_changed),
        ("training", measured.training_evaluation_changed),
    ):
        if names:
            yield evaluate_changes_state.error(
                f"evaluate() in {mode} mode changed {len(names)} entries of the state: {_some(names)}.",
                where=names[0],
                suggestion="Put back what an evaluation moves: running statistics and random generators.",
                mode=mode,
                names=list(names),
            )
            return


@certain
@rule
def step_changes_nothing(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """A training step changes no parameter.

    What it finds: after several steps every trainable parameter is bit for bit what it was.

    Why it matters: the loop runs, prints a loss, and nothing is learned. The usual causes: the optimizer holds the
    parameters of another model (a copy, or one made before the model was moved or rebuilt), the gradients are
    zero or never computed, the learning rate is 0, or the update is written to a copy.

    What to try: check that the optimizer was made from the very parameters that the forward pass uses, that
    gradients arrive (not None, not 0), and that the learning rate is not 0.

    When it is wrong: if every step is skipped on purpose at the start (loss scaling that is still finding its
    scale); then raise `steps`.

    References: CS231n, course notes "neural networks 3", ratio of updates to weights.
    """
    if measured.parameters and not measured.moved:
        skipped = f" ({measured.steps_skipped} of them reported no update)" if measured.steps_skipped else ""
        zero = " Their gradients are all zero." * measured.gradients_zero
        yield step_changes_nothing.error(
            f"{settings.steps} steps at learning rate {measured.learning_rate:g} moved none of {measured.parameters} "
            f"parameters{skipped}.{zero}",
            suggestion="Find what cuts the gradient between loss and weights: rounding, an argmax, a detach, an output "
            "that is dead or saturated for every example."
            if zero
            else "Make the optimizer from the parameters that the model uses, and look whether gradients arrive.",
            parameters=measured.parameters,
            steps=settings.steps,
        )


@rule
def nondeterministic_evaluation(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """Evaluating the same batch twice gives two losses.

    What it finds: in evaluation mode, with nothing changed in between, the loss of one batch is not repeatable; or it
    depends on the random generators, and no longer does with regularization off: dropout is at work.

    Why it matters: something random is still switched on at test time, most often dropout; or the evaluation
    changes the model. The lecture scales activations at training time so that the test-time pass is deterministic.

    What to try: switch dropout and noise off in evaluation mode (`model.eval()`, `mode="test"`, `training=False`),
    functional dropout too: it has a flag of its own.

    When it is wrong: models that sample at test time on purpose (Monte Carlo dropout, variational ones).

    References: CS231n, lecture 7, inverted dropout; course notes "neural networks 2".
    """
    losses = measured.evaluation_losses
    worst = max(_gap(losses[0], loss) for loss in losses)
    if worst > settings.tolerance:
        yield nondeterministic_evaluation.error(
            f"one batch, evaluated {len(losses)} times in evaluation mode, had losses from {min(losses):.6g} to "
            f"{max(losses):.6g}.",
            suggestion="Switch dropout and other noise off in evaluation mode.",
            losses=list(losses),
        )
        return
    drawn, still = measured.reseeded_losses, measured.unregularized_losses
    noise = max((_gap(drawn[0], loss) for loss in drawn), default=0.0)
    if noise > settings.tolerance and still and max(_gap(still[0], loss) for loss in still) <= settings.tolerance:
        yield nondeterministic_evaluation.error(
            f"one batch, evaluated under {len(drawn)} seeds in evaluation mode, had losses from {min(drawn):.6g} to "
            f"{max(drawn):.6g}, and always {still[0]:.6g} with regularization off: dropout is at work.",
            suggestion="Switch dropout off in evaluation mode; functional dropout needs `training=self.training`.",
            losses=list(drawn),
        )


@rule
def bad_output(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """What the program returns does not fit together.

    What it finds: scores whose first axis is not the examples', scores or a penalty that are not finite while the
    loss is, or predictions (N, 1) against targets (N,) that broadcast to (N, N) inside the loss.

    Why it matters: the loss is still a number, and training still runs, on something else than was meant. A broadcast
    loss pulls every prediction towards every target, so that the best it can learn is the mean.

    What to try: print the shapes of scores and targets right before the loss; give both the same shape.

    When it is wrong: if `scores` are not what the loss sees; leave them out of the output then.

    References: NumPy, "Broadcasting": axes of length 1 are stretched.
    """
    if measured.output_problem:
        yield bad_output.error(
            f"{measured.output_problem[0].upper()}{measured.output_problem[1:]}.",
            suggestion="Print the shapes of scores and targets right before the loss, and make them agree.",
            problem=measured.output_problem,
        )
