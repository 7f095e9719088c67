"""How `check-data` measures."""

from typing import TYPE_CHECKING

from babysit.checks.check_data.schema import Measurement, Settings
from babysit.errors import LostError, Skip, TargetError

if TYPE_CHECKING:
    from babysit.checks.check_data.split_reader import Split
    from babysit.driving.bench import Bench


def measure(bench: "Bench", settings: Settings) -> Measurement:
    """Go through both splits; of several ranks, the first one's share stands for all."""
    from babysit.checks.check_data import leaks, split_comparison
    from babysit.checks.check_data.split_reader import Split

    train = Split("train", bench.task).read(bench, settings.examples)
    val = Split("val", bench.task).read(bench, settings.examples)
    if not train.examples:
        bench.pool()  # says what is wrong with that
    both = (train, val) if val.examples else (train,)
    ids = _ids(bench, train)
    shared = [name for name in train.inputs if name in val.inputs and name not in ids]
    found = (split_comparison.compared(name, train, val, shift=settings.shift, ratio=settings.ratio) for name in shared)
    measured = Measurement(
        inputs=tuple(x.summary(name, s.name, ids=name in ids) for s in both for name, x in s.inputs.items()),
        targets=tuple(x.summary(name, s.name) for s in both for name, x in s.targets.items()),
        labels=tuple(labels for s in both if (labels := s.labels.summary(s.name)) is not None),
        order=train.order.summary(),
        whole=tuple(s.name for s in both if s.whole),
        comparisons=tuple(comparison for comparison in found if comparison is not None),
        overlap=split_comparison.overlap(train.digests, val.digests) if val.examples else None,
        holding=leaks.columns(bench.pool(), bench.task),
        ties=leaks.lost_ties(bench.pool(), bench.pool("val"), bench.task) if val.examples else (),
        sight=leaks.sight(bench),
        is_regression=bench.task.name == "regression",
        is_text=bench.task.name == "language-model",
    )
    stated: Measurement = bench.trainer.ranks.gather(measured)[0]
    return stated


def _ids(bench: "Bench", train: "Split") -> set[str]:
    """Names of the integer inputs that are names of words or categories: where the network looks rows up."""
    from babysit.measuring.layers import layers

    if not train.integers or bench.task.name == "language-model":
        return train.integers
    try:
        calls = layers(bench, 512).calls.values()  # as many as the checks of the layers look at by default
    except LostError:
        raise
    except (Skip, TargetError):  # a label out of range fails the loss, and is to be found all the same
        return train.integers
    return train.integers if any(call.kind == "linear" and not call.fed for call in calls) else set()
