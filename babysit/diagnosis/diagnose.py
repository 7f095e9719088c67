"""One pure pass over all that a run found: the root first, consequences behind it, excuses heard.

Three steps: lower what another measurement excuses; say which finding explains which; put causes before consequences.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from babysit.diagnosis.causes import consequences_of, known_causes, root_first
from babysit.diagnosis.excuses import advised, known_excuses, lower
from babysit.report import Finding


def diagnose(measurements: Mapping[str, Any], findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings with excuses heard and `explains` filled in, causes before consequences.

    Args:
        measurements: Measurements by check, of the checks that were measured.
        findings: What the rules found, in the lecture's order.
    """
    found = list(findings)
    excused = known_excuses(found, measurements)
    heard = [advised(lower(finding, excused), measurements) for finding in found]
    causes = known_causes(measurements)
    explained = [replace(finding, explains=consequences_of(finding, heard, causes)) for finding in heard]
    return tuple(root_first(explained))
