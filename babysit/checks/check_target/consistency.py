"""Whether what a program returns for a batch fits together: loss, penalty and scores."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babysit.driving.guard import Driven
    from babysit.trainer import Batch, Output

VISIBLE = 1e-4  # of the loss: what another order of the targets must change in theory to be looked for in practice
ROUNDING = 2e-6  # of the loss: by so much another order of the same sum may change it in single precision


def output_problem(trainer: "Driven", batch: "Batch", output: "Output") -> str:
    """What speaks against loss, penalty and scores of this batch; empty if nothing does."""
    from babysit import arrays

    scores, examples = output.scores, arrays.count(batch)
    if not math.isfinite(output.penalty):
        return f"the penalty is {output.penalty}"
    if scores is None:
        return ""
    if scores.ndim and math.isfinite(output.loss) and not arrays.all_finite(scores):
        return "some scores are not finite, though the loss is"
    if scores.ndim == 0 or scores.shape[0] % examples:
        return f"the scores have shape {tuple(scores.shape)} for {examples} examples"
    return _broadcast_problem(trainer, batch, output)


def _broadcast_problem(trainer: "Driven", batch: "Batch", output: "Output") -> str:
    """Scores (N, 1) against targets (N,), or (N, C) against labels (N, 1), broadcast to (N, N) inside a loss."""
    from babysit import arrays

    inputs, targets = batch
    task, scores = trainer.task, output.scores
    if scores is None or not arrays.are_scores(targets) or task.problem(scores, targets):
        return ""
    reverse = arrays.take(targets, range(arrays.count(batch))[::-1])
    paired = task.reference_loss(scores, targets)
    aligned = (task.reference_loss(scores, reverse) - paired) / paired if paired else 0.0
    other = trainer.evaluate((inputs, reverse), training=True)
    if other.scores is not None and not arrays.same(other.scores, scores):
        return ""  # targets are inputs too, as a decoder's are
    moved = (other.loss - output.loss) / output.loss if output.loss else 0.0  # of a loss in whatever units
    if not abs(aligned) > VISIBLE or not abs(moved) < min(abs(aligned) / 100, ROUNDING):
        return ""
    return (
        f"scores {tuple(scores.shape)} and targets {tuple(targets.shape)} seem to broadcast: the loss is the same when "
        "the targets are put in another order"
    )
