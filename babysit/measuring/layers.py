"""What flows through a network's layers over many examples, at the start and after some training; looked at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from babysit.errors import Skip
from babysit.measuring.reductions.plain import RECTIFIED
from babysit.measuring.unit_statistics import UnitStatistics

if TYPE_CHECKING:
    from babysit.driving.bench import Bench
    from babysit.driving.guard import Driven
    from babysit.trainer import Array, Batch, Record

BINS = 40  # of the histograms
CORE = 0.005  # share of each layer's outputs that may lie beyond either end of the histograms' axis: few don't set it
SAMPLE = 4096  # outputs of each layer kept for its histogram: a bin of 5 % is then known to a fifteenth of its height
NO_NONLINEARITY = (
    "no nonlinearity was seen in the forward pass: there is nothing that could die or saturate"  # as it is reported
)


@dataclass(frozen=True)
class Call:
    """One layer, as it was called.

    Args:
        name: Its name.
        kind: "linear", "norm", or the nonlinearity.
        units: Its units.
        parameters: Names of the parameters used since the previous nonlinearity.
        fed: Whether its inputs were seen; an embedding, which looks rows up, has none.
    """

    name: str
    kind: str
    units: int
    parameters: tuple[str, ...]
    fed: bool


@dataclass
class Layers:
    """Statistics of every layer over some batches, by the layer's name, in the order of the calls.

    Args:
        steps: Updates made ahead of the look.
        calls: The layers.
        outputs: Of the nonlinearities.
        fed: Inputs of the linear layers.
        linear: Outputs of the linear layers.
        norms: Outputs of the normalization layers.
        gradients: Gradients of the loss by the nonlinearities' outputs; empty where not asked for or not shown.
        samples: Some outputs of each nonlinearity, on the host.
    """

    steps: int
    calls: dict[str, Call] = field(default_factory=dict)
    outputs: dict[str, UnitStatistics] = field(default_factory=dict)
    fed: dict[str, UnitStatistics] = field(default_factory=dict)
    linear: dict[str, UnitStatistics] = field(default_factory=dict)
    norms: dict[str, UnitStatistics] = field(default_factory=dict)
    gradients: dict[str, UnitStatistics] = field(default_factory=dict)
    samples: dict[str, Any] = field(default_factory=dict)

    def visit(self, record: "Record") -> None:
        """Add one record of a trace."""
        if record.phase == "backward":
            if record.name in self.outputs:
                _statistics(self.gradients, record.name, "gradient").update_values(record.values, record.unit_axis)
            return
        if record.kind == "softmax":
            return
        units = int(record.values.shape[record.unit_axis])
        call = Call(record.name, record.kind, units, tuple(record.parameters), record.inputs is not None)
        self.calls.setdefault(record.name, call)
        if record.kind == "norm":
            _statistics(self.norms, record.name, "norm").update_values(record.values, record.unit_axis)
        elif record.kind == "linear":
            _statistics(self.linear, record.name, "linear").update_values(record.values, record.unit_axis)
            if record.inputs is not None:
                _statistics(self.fed, record.name, "linear").update_values(record.inputs, record.unit_axis)
        else:
            _statistics(self.outputs, record.name, record.kind).update(record)
            if record.name not in self.samples:
                self.samples[record.name] = _sample(record.values)

    @property
    def groups(self) -> tuple[dict[str, UnitStatistics], ...]:
        """All that was accumulated."""
        return self.outputs, self.fed, self.linear, self.norms, self.gradients


def _statistics(group: dict[str, UnitStatistics], name: str, kind: str) -> UnitStatistics:
    return group.setdefault(name, UnitStatistics(name, kind))


def _sample(values: "Array") -> Any:
    """At most `SAMPLE` of the values, evenly over all of them, as a NumPy array."""
    from array_api_compat import array_namespace

    from babysit import arrays

    flat = array_namespace(values).reshape(values, (-1,))
    return arrays.on_host(flat[:: max(1, flat.shape[0] // SAMPLE)]).copy()


def layers(bench: "Bench", examples: int, steps: int = 0) -> Layers:
    """The layers on the first training batches, at the start (with gradients) or after updates (without).

    Checks that ask for the same look get the same one.

    Raises:
        Skip: The trainer has no trace, or can't follow this network.
    """
    key = ("layers", examples, steps)
    if steps == 0:
        return bench.once(key, lambda: _at_start(bench, examples))
    return bench.once(key, lambda: _later(bench, examples, steps))


def _at_start(bench: "Bench", examples: int) -> Layers:
    with bench.borrowed() as trainer:
        return look(trainer, bench.first_batches(examples))


def _later(bench: "Bench", examples: int, steps: int) -> Layers:
    batches = bench.first_batches(examples)
    with bench.trained(steps) as (trainer, made):
        return look(trainer, batches, made)


def look(trainer: "Driven", batches: list["Batch"], steps: int = 0) -> Layers:
    """The layers as the trainer stands, so many updates from the start; with gradients where there were none."""
    from babysit.trainer import ForwardOnly

    found = Layers(steps)
    for batch in batches:
        trainer.trace(batch, found.visit if steps == 0 else ForwardOnly(found.visit))
    for group in found.groups:
        _over_ranks(trainer, group)
    found.samples = trainer.ranks.gather(found.samples)[0]  # one picture on all ranks
    return found


def nonlinearities(found: Layers) -> Mapping[str, UnitStatistics]:
    """The nonlinearities.

    Raises:
        Skip: There is none.
    """
    if not found.outputs:
        raise Skip(NO_NONLINEARITY)
    return found.outputs


def _over_ranks(trainer: "Driven", group: dict[str, UnitStatistics]) -> None:
    """Put together what the ranks have seen, in their order, so that all come to the same numbers."""
    every = trainer.ranks.gather({name: layer.seen for name, layer in group.items()})
    if len(every) == 1:
        return
    for name, layer in group.items():
        group[name] = UnitStatistics(name, layer.kind)
        for seen in every:
            if name in seen:
                group[name].add(seen[name])


def histograms(found: Layers) -> tuple[tuple[float, ...], tuple[tuple[int, ...], ...]]:
    """Counts over bins that all layers share, rectifiers' zeros left out; none where an output isn't finite."""
    import numpy as np

    samples = {name: x[x != 0] if found.calls[name].kind in RECTIFIED else x for name, x in found.samples.items()}
    seen = [x.astype(np.float64) for x in samples.values() if len(x)]
    if not seen or not all(np.isfinite(x).all() for x in seen):
        return (), ()
    ends = np.array([np.quantile(x, (CORE, 1 - CORE)) for x in seen])
    low, high = ends.min(), ends.max()
    reach = (low, high) if high > low else (low - 0.5, high + 0.5)
    edges = np.linspace(*reach, BINS + 1)
    counts = (np.histogram(sample, edges)[0] for sample in samples.values())
    return tuple(float(edge) for edge in edges), tuple(tuple(int(n) for n in row) for row in counts)
