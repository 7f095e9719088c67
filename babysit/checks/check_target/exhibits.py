"""What `check-target` shows."""

from collections.abc import Iterator

from babysit.checks.check_target.schema import Measurement, Settings, relative_gap
from babysit.report import Exhibit, Fact


def exhibits(measured: Measurement, settings: Settings) -> Iterator[Exhibit]:
    """What the replay showed."""
    yield Fact("parameters moved by a step", f"{measured.moved} of {measured.parameters}")
    yield Fact("state after load", "as saved, bit for bit" if not measured.not_restored else "differs")
    pairs = zip(measured.first_losses, measured.replayed_losses, strict=True)
    same = all(relative_gap(a, b) == 0 for a, b in pairs)
    yield Fact("replayed losses", "the same" if same else "differ")
    if measured.placement:
        yield Fact("saved states", measured.placement)
