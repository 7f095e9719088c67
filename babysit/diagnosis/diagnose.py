"""One pure pass over all that a run found: the root first, consequences behind it, excuses heard.

Three steps: lower what another measurement excuses; say which finding explains which; put causes before consequences.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from babysit.diagnosis.causes import _causes, _consequences, _root_first
from babysit.diagnosis.excuses import _advised, _excuses, _lower
from babysit.report import Finding


def diagnose(measurements: Mapping[str, Any], findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings with excuses heard and `explains` filled in, causes before consequences.

    Args:
        measurements: Measurements by check, of the checks that were measured.
        findings: What the rules found, in the lecture's order.
    """
    found = list(findings)
    excused = _excuses(found, measurements)
    heard = [_advised(_lower(finding, excused), measurements) for finding in found]
    causes = _causes(measurements)
    explained = [replace(finding, explains=_consequences(finding, heard, causes)) for finding in heard]
    return tuple(_root_first(explained))
