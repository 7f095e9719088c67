"""Which finding stands behind which, and in what order they are told."""

from collections.abc import Mapping
from typing import Any

from babysit.checks.overfit.schema import LEARNED, Outcome
from babysit.diagnosis.consequences import EXPLAINS
from babysit.measuring.treatments import REDRAWN, STANDARDIZED, UNREGULARIZED, cures
from babysit.report import Finding

# Which rules' causes a treatment takes away, and which failures of a check it is tried on.
_TAKES_AWAY: Mapping[str, tuple[str, ...]] = {
    STANDARDIZED: ("inputs-badly-scaled", "inputs-not-centered", "feature-scales-differ"),
    REDRAWN: ("symmetric-weights", "mis-scaled-weights"),
    UNREGULARIZED: ("regularization-dominates", "regularization-lowers-loss"),
}
_FAILURES: Mapping[str, tuple[str, ...]] = {
    "overfit": ("cannot-overfit", "constant-predictions", "overfit-too-slow", "overfit-diverges"),
    "train": ("loss-not-falling", "loss-diverges"),
}


def known_causes(measurements: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:
    """`EXPLAINS`, as far as the measurements bear it out."""
    causes = _tested(EXPLAINS, measurements)
    overfit, loss = measurements.get("overfit"), measurements.get("check-loss")
    if overfit is not None and overfit.own.outcome not in LEARNED and len(overfit.attempts) > 1 and not overfit.cures:
        # no learning rate makes it memorize, so the learning rate is not what keeps it from memorizing
        rates = ("learning-rate-too-high", "learning-rate-too-low", "killed-by-learning-rate")
        for rule in rates:
            causes[rule] = tuple(c for c in causes[rule] if c != "overfit-diverges")
        _put_first(causes, "cannot-overfit", *rates)
    if overfit is not None and cures(overfit.treated):  # the network can tell its inputs apart
        _put_first(causes, "cannot-overfit", "constant-predictions")
    if overfit is not None and overfit.own.outcome is Outcome.BY_LOSS_ALONE:
        _put_first(causes, "loss-metric-disagree", "cannot-overfit")
    if loss is not None and not loss.inputs_vary:  # before any layer can be at fault
        _put_first(causes, "inputs-ignored", "dead-relu", "constant-activation", "saturated-activation")
    return causes


def _put_first(causes: dict[str, tuple[str, ...]], cause: str, *consequences: str) -> None:
    """Make the one a cause of the others; whatever stands behind it then no longer explains it."""
    causes[cause] = (*causes.get(cause, ()), *consequences)
    behind: set[str] = set()
    left = [cause]
    while left:
        for rule in causes.get(left.pop(), ()):
            if rule not in behind:
                behind.add(rule)
                left.append(rule)
    for rule in behind & causes.keys():
        causes[rule] = tuple(c for c in causes[rule] if c != cause)


def _tested(causes: Mapping[str, tuple[str, ...]], measurements: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The causes with what treatments have shown: what was taken away in vain does not explain the failure."""
    tested = dict(causes)
    for check, failures in _FAILURES.items():
        for treated in getattr(measurements.get(check), "treated", ()):
            for rule in _TAKES_AWAY.get(treated.treatment, ()):
                others = tuple(c for c in tested[rule] if c not in failures)
                tested[rule] = others + failures if treated.cured else others
    return tested


def consequences_of(cause: Finding, findings: list[Finding], causes: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The rules found beside this finding that it explains."""
    candidates = causes.get(cause.rule, ())
    return tuple(
        dict.fromkeys(
            f.rule
            for f in findings
            if f.rule in candidates and f.rule != cause.rule and cause.severity.rank <= f.severity.rank
        )
    )


def root_first(findings: list[Finding]) -> list[Finding]:
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
