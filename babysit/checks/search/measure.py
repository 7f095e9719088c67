"""How `search` measures."""

from typing import TYPE_CHECKING

from babysit.checks.search.exhibits import live
from babysit.errors import Skip
from babysit.search.schema import Measurement, Settings

if TYPE_CHECKING:
    from babysit.driving.bench import Bench


def measure(bench: "Bench", settings: Settings) -> Measurement:
    """Coarse, then fine, then the best again with other seeds."""
    from babysit.search import engine

    if bench.source is None:
        raise Skip("a search builds one trainer after the other, and this one came without its factory")
    return engine.run(bench, bench.source, settings, live)
