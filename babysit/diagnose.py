"""One pure pass over all that a run found: the root first, consequences behind it, excuses heard.

Three steps: lower what another measurement excuses; say which finding explains which; put causes before consequences.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from babysit.attempts import LEARNED
from babysit.report import Finding, Severity

# What each fault brings about. A rule explains only findings that are there, and none that is more severe than itself.
_STUCK = ("constant-predictions", "cannot-overfit", "overfit-too-slow", "no-usable-learning-rate", "range-edge")
_THROWN = ("learning-rate-too-high", "killed-by-learning-rate", "overfit-diverges")
_RATES = ("learning-rate-too-low", "learning-rate-too-high", "range-edge")
EXPLAINS: Mapping[str, tuple[str, ...]] = {
    "evaluate-changes-state": ("state-not-restored", "nondeterministic-evaluation"),
    "non-finite-loss": ("bad-output", "unexpected-initial-loss", "overfit-diverges", *_STUCK),
    "task-mismatch": ("bad-output", "unexpected-initial-loss", *_STUCK),
    "bad-output": ("unexpected-initial-loss", "inputs-ignored", *_STUCK),
    "step-changes-nothing": ("frozen-parameters", "learning-rate-too-low", "inputs-ignored", *_STUCK),
    "normalized-scores": ("unexpected-initial-loss", "saturated-activation", "floor-above-zero", *_RATES, *_STUCK),
    "output-range": ("unexpected-initial-loss", "saturated-activation", *_RATES, *_STUCK),
    "confident-at-init": ("unexpected-initial-loss", "saturated-activation", "dead-relu", *_THROWN, *_RATES, *_STUCK),
    "dead-relu": ("constant-activation", "inputs-ignored", "frozen-parameters", *_RATES, *_STUCK),
    "saturated-activation": ("constant-activation", "inputs-ignored", *_RATES, *_STUCK),
    "constant-activation": ("inputs-ignored", "frozen-parameters", "same-sign-gradient", *_RATES, *_STUCK),
    "idle-maxout-piece": (*_RATES, *_STUCK),
    "collapsed-slope": (*_RATES, *_STUCK),
    "inputs-ignored": ("frozen-parameters", "same-sign-gradient", *_RATES, *_STUCK),
    "summed-loss": ("unexpected-initial-loss", "regularization-dominates", *_THROWN, *_RATES, *_STUCK),
    "regularization-lowers-loss": (*_THROWN, *_RATES, *_STUCK),
    "regularization-dominates": (*_THROWN, *_RATES, *_STUCK),
    "regularization-without-effect": ("decay-not-applied",),
    "frozen-parameters": (*_RATES, *_STUCK),
    "constant-predictions": ("learning-rate-too-low", *_STUCK[1:]),
    "learning-rate-too-high": ("killed-by-learning-rate", "overfit-diverges", *_STUCK),
    "learning-rate-too-low": ("overfit-too-slow", "range-edge"),
    "overfit-diverges": ("killed-by-learning-rate", "no-usable-learning-rate", "range-edge"),
    "killed-by-learning-rate": _STUCK,
    "floor-above-zero": ("cannot-overfit", "overfit-too-slow", "range-edge"),
    "cannot-overfit": ("no-usable-learning-rate", "range-edge"),
    "no-usable-learning-rate": ("range-edge",),
}


def diagnose(measurements: Mapping[str, Any], findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings with excuses heard and `explains` filled in, causes before consequences.

    Args:
        measurements: Measurements by check, of the checks that were measured.
        findings: What the rules found, in the lecture's order.
    """
    found = list(findings)
    excused = _excuses(found, measurements)
    heard = [_advised(_lower(finding, *excused) if excused else finding, measurements) for finding in found]
    causes = _causes(measurements)
    explained = [replace(finding, explains=_consequences(finding, heard, causes)) for finding in heard]
    return tuple(_root_first(explained))


def _excuses(findings: list[Finding], measurements: Mapping[str, Any]) -> tuple[Mapping[str, Severity], str] | None:
    """To what memorizing 20 examples at the user's own learning rate lowers which rules, and the words for it.

    A network that does is not kept from learning by the size of its loss or step, by units that it can spare, by a
    layer that is linear, or by gradients of one sign; what is wrong with it may still cost time.
    """
    overfit = measurements.get("overfit")
    if overfit is None or overfit.own.outcome not in LEARNED:
        return None
    lowered = {
        "learning-rate-too-low": Severity.WARNING,
        "killed-by-learning-rate": Severity.WARNING,
        "idle-maxout-piece": Severity.WARNING,
        "collapsed-slope": Severity.WARNING,
        "same-sign-gradient": Severity.INFO,
    }
    if any(finding.rule == "summed-loss" for finding in findings):
        lowered |= {"summed-loss": Severity.WARNING, "unexpected-initial-loss": Severity.WARNING}
    return lowered, f" It memorizes {overfit.examples} examples at this learning rate all the same."


def _advised(finding: Finding, measurements: Mapping[str, Any]) -> Finding:
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


def _lower(finding: Finding, lowered: Mapping[str, Severity], note: str) -> Finding:
    severity = lowered.get(finding.rule, finding.severity)
    if severity.rank <= finding.severity.rank:
        return finding
    return replace(finding, severity=severity, message=finding.message + note)


def _causes(measurements: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:
    """`EXPLAINS`, as far as the measurements bear it out."""
    causes = dict(EXPLAINS)
    overfit, loss = measurements.get("overfit"), measurements.get("check-loss")
    if overfit is not None and overfit.own.outcome not in LEARNED and not overfit.cures:
        # no learning rate makes it memorize, so the learning rate is not what keeps it from memorizing
        for rule in ("learning-rate-too-high", "learning-rate-too-low", "killed-by-learning-rate"):
            causes[rule] = tuple(c for c in causes[rule] if c not in ("cannot-overfit", "overfit-diverges"))
        causes["cannot-overfit"] += ("learning-rate-too-high", "learning-rate-too-low", "killed-by-learning-rate")
    if loss is not None and not loss.inputs_vary:  # before any layer can be at fault
        causes["inputs-ignored"] += ("dead-relu", "constant-activation", "saturated-activation")
        for rule in ("dead-relu", "constant-activation", "saturated-activation"):
            causes[rule] = tuple(c for c in causes[rule] if c != "inputs-ignored")
    return causes


def _consequences(cause: Finding, findings: list[Finding], causes: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    candidates = causes.get(cause.rule, ())
    return tuple(
        dict.fromkeys(
            f.rule
            for f in findings
            if f.rule in candidates and f.rule != cause.rule and cause.severity.rank <= f.severity.rank
        )
    )


def _root_first(findings: list[Finding]) -> list[Finding]:
    """Roots by severity, then by how much they explain, then in the order given; each followed by what it explains."""
    consequences = {rule for finding in findings for rule in finding.explains}
    roots = [f for f in findings if f.rule not in consequences] or findings
    roots.sort(key=lambda f: (f.severity.rank, -len(f.explains)))
    ordered: list[Finding] = []

    def place(finding: Finding) -> None:
        if any(finding is placed for placed in ordered):
            return
        ordered.append(finding)
        for rule in finding.explains:
            for other in findings:
                if other.rule == rule:
                    place(other)

    for finding in [*roots, *findings]:
        place(finding)
    return ordered
