"""What one measurement says in favour of a program, against the findings of another."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from babysit.checks.overfit.schema import LEARNED
from babysit.measuring import curves
from babysit.report import Finding, Severity

CLEAR = 3.0  # standard errors by which a run's loss has to fall, and
LEARNS = 0.2  # the share of it, to speak for a program; as `train` has them
LARGEST_FED = 10.0  # root mean square of what the first layer is fed; from there check-data warns of inputs


@dataclass(frozen=True)
class Excuse:
    """What speaks for a program against a rule.

    Args:
        severity: What its findings are lowered to.
        note: The words for it, behind the message.
        of: The severities that it lowers.
    """

    severity: Severity
    note: str
    of: tuple[Severity, ...] = tuple(Severity)


def known_excuses(findings: list[Finding], measurements: Mapping[str, Any]) -> Mapping[str, Excuse]:
    """By rule, what other measurements say in the program's favour; the strongest last."""
    told = (_prior_known(measurements), _trains(findings, measurements), _memorized(findings, measurements))
    return told[0] | told[1] | told[2] | _scaled_inside(measurements)


def _memorized(findings: list[Finding], measurements: Mapping[str, Any]) -> dict[str, Excuse]:
    """What memorizing 20 examples at the user's own learning rate lowers.

    A network that does is not kept from learning by the size of its loss or step, by units that it can spare, by a
    layer that is linear, or by gradients of one sign; what is wrong with it may still cost time.
    """
    overfit = measurements.get("overfit")
    if overfit is None or overfit.own.outcome not in LEARNED:
        return {}
    note = f" It memorizes {overfit.examples} examples at this learning rate all the same."
    warned = ["learning-rate-too-low", "killed-by-learning-rate", "idle-maxout-piece", "collapsed-slope"]
    if any(f.rule in ("loss-not-falling", "loss-diverges") and f.severity is Severity.ERROR for f in findings):
        warned = warned[2:]  # a rate at which a longer run comes to nothing is not excused
    if any(finding.rule == "summed-loss" for finding in findings):
        warned += ["summed-loss", "unexpected-initial-loss"]
    lowered = {rule: Excuse(Severity.WARNING, note) for rule in warned}
    sizes = ("inputs-badly-scaled", "inputs-not-centered", "targets-badly-scaled")
    lowered |= {rule: Excuse(Severity.INFO, note, of=(Severity.WARNING,)) for rule in sizes}
    return lowered | {"same-sign-gradient": Excuse(Severity.INFO, note)}


def _trains(findings: list[Finding], measurements: Mapping[str, Any]) -> dict[str, Excuse]:
    """A run at the user's own rate that learns: longer than a scan's short ones, it shows that there is a rate.

    Where nobody knows the loss's chance value, its fall may be had without the inputs: that is no answer to a scan that
    saw just this. But nothing can show there that 20 examples are memorized, so it speaks for units that are spared.
    """
    train = measurements.get("train")
    if train is None:
        return {}
    course = curves.course(train.run.losses)
    errors = {f.rule for f in findings if f.severity is Severity.ERROR}
    if course is None or errors & {"loss-not-falling", "loss-diverges", "loss-metric-disagree"}:
        return {}
    clear = course.falls(CLEAR) and course.lost > LEARNS * abs(course.start)
    if not clear and "overfitting-gap" not in errors:  # which speaks of a training loss that fell
        return {}
    note = f" Yet {len(train.run.losses)} updates at yours take it from {course.start:.4g} to {course.end:.4g}."
    if math.isfinite(train.train.loss):
        return {"no-usable-learning-rate": Excuse(Severity.INFO, note)}
    spared = {"killed-by-learning-rate": Excuse(Severity.WARNING, note)}
    scan = measurements.get("lr-scan")
    blind = scan is not None and scan.exchange is not None
    return spared if blind else spared | {"no-usable-learning-rate": Excuse(Severity.INFO, note)}


def _scaled_inside(measurements: Mapping[str, Any]) -> dict[str, Excuse]:
    """Raw inputs that the network itself normalizes first, as the trace shows."""
    init = measurements.get("check-init")
    if init is None:
        return {}
    lowered = []
    if "norm" in init.opening:
        lowered += ["inputs-badly-scaled", "inputs-not-centered"]
        if init.opening[0] == "norm":
            lowered.append("feature-scales-differ")
    elif 1 / LARGEST_FED <= init.inputs <= LARGEST_FED:
        lowered.append("inputs-badly-scaled")
    excuse = Excuse(Severity.INFO, " The network scales them itself, ahead of its first nonlinearity.")
    return dict.fromkeys(lowered, excuse)


def _prior_known(measurements: Mapping[str, Any]) -> dict[str, Excuse]:
    """Rare classes that the output bias knows of from the start, as the first loss shows."""
    loss = measurements.get("check-loss")
    if loss is None:
        return {}
    prior = loss.chance.get("entropy of the labels", math.nan)
    if not loss.training_loss < prior + (max(loss.chance.values(), default=math.nan) - prior) / 4:
        return {}
    return {"class-imbalance": Excuse(Severity.INFO, " The output bias knows it: the first loss is the entropy.")}


def advised(finding: Finding, measurements: Mapping[str, Any]) -> Finding:
    """The finding that no learning rate works, told apart from a wrong gradient where 20 examples were memorized."""
    overfit = measurements.get("overfit")
    if finding.rule != "no-usable-learning-rate" or overfit is None:
        return finding
    if overfit.own.outcome in LEARNED:
        advice = (
            f"{overfit.examples} examples are memorized, so network and gradient work: see whether inputs and targets "
            "belong together (shuffled apart?), and whether batches come in an order."
        )
        return replace(finding, suggestion=advice)
    if overfit.cures:
        note = f" Yet {overfit.cures[0].learning_rate:.3g} memorizes {overfit.examples} examples, in more steps."
        return replace(finding, severity=Severity.WARNING, message=finding.message + note)
    return finding


def lower(finding: Finding, excuses: Mapping[str, Excuse]) -> Finding:
    """The finding, less severe where it has an excuse."""
    excuse = excuses.get(finding.rule)
    if excuse is None or finding.severity not in excuse.of or excuse.severity.rank <= finding.severity.rank:
        return finding
    return replace(finding, severity=excuse.severity, message=finding.message + excuse.note)
