"""One module for each format. A format is a module with `render(report, fail_on) -> str`; its name is the format's.

Adding a format is adding a module here. Names are found without importing anything.
"""

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import TypeAlias

from babysit.report import Report, Severity

Format: TypeAlias = Callable[[Report, Severity], str]


def _render(name: str, report: Report, fail_on: Severity) -> str:
    document: str = importlib.import_module(f"{__name__}.{name}").render(report, fail_on)
    return document


def formats() -> Mapping[str, Format]:
    """What renders a report, by the format's name; a format's module is imported when it is called."""
    names = sorted(info.name for info in pkgutil.iter_modules(__path__))
    return {name: functools.partial(_render, name) for name in names}
