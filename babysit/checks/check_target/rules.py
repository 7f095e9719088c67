"""What `check-target` finds."""

import math
from collections.abc import Iterator
from itertools import pairwise

from babysit.check import certain, rule
from babysit.checks.check_target.schema import Measurement, Settings, relative_gap
from babysit.report import Finding


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
        gaps = [relative_gap(a, b) for a, b in zip(measured.first_losses, measured.replayed_losses, strict=True)]
        steps = [relative_gap(a, b) for a, b in pairwise(measured.first_losses)]
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
    worst = max(relative_gap(losses[0], loss) for loss in losses)
    if worst > settings.tolerance:
        yield nondeterministic_evaluation.error(
            f"one batch, evaluated {len(losses)} times in evaluation mode, had losses from {min(losses):.6g} to "
            f"{max(losses):.6g}.",
            suggestion="Switch dropout and other noise off in evaluation mode.",
            losses=list(losses),
        )
        return
    drawn, still = measured.reseeded_losses, measured.unregularized_losses
    noise = max((relative_gap(drawn[0], loss) for loss in drawn), default=0.0)
    if (
        noise > settings.tolerance
        and still
        and max(relative_gap(still[0], loss) for loss in still) <= settings.tolerance
    ):
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
