"""What flows through a network's layers over many examples, and a short training between two looks at it."""

import math
from typing import TYPE_CHECKING

from babysit.errors import Skip
from babysit.statistics import UnitStatistics

if TYPE_CHECKING:
    from babysit.bench import Bench
    from babysit.driven import Driven
    from babysit.trainer import Batch, Record


def train(bench: "Bench", trainer: "Driven", steps: int) -> int:
    """Step at the user's learning rate until the loss is no longer finite; the steps made."""
    for done, batch in zip(range(1, steps + 1), bench.stream(), strict=False):
        if not math.isfinite(trainer.step(batch).loss):
            return done
        bench.advance(done, steps)
    return steps


def trace_layers(
    trainer: "Driven", batches: list["Batch"]
) -> tuple[dict[str, UnitStatistics], dict[str, UnitStatistics]]:
    """Statistics of each nonlinearity's outputs, and of what each linear layer is fed.

    Raises:
        Skip: The trainer has no trace, or no nonlinearity was seen.
    """
    from babysit.trainer import ForwardOnly

    outputs: dict[str, UnitStatistics] = {}
    fed: dict[str, UnitStatistics] = {}

    def visit(record: "Record") -> None:
        if record.phase != "forward" or record.kind in ("norm", "softmax"):
            return
        if record.kind == "linear":
            if record.inputs is not None:
                fed.setdefault(record.name, UnitStatistics(record.name, "linear")).update_values(
                    record.inputs, record.unit_axis
                )
        else:
            outputs.setdefault(record.name, UnitStatistics(record.name, record.kind)).update(record)

    for batch in batches:
        trainer.trace(batch, ForwardOnly(visit))
    if not outputs:
        raise Skip("no nonlinearity was seen in the forward pass: there is nothing that could die or saturate")
    for layers in (outputs, fed):
        _over_ranks(trainer, layers)
    return outputs, fed


def _over_ranks(trainer: "Driven", layers: dict[str, UnitStatistics]) -> None:
    """Put together what the ranks have seen, in their order, so that all come to the same numbers."""
    every = trainer.ranks.gather({name: layer.seen for name, layer in layers.items()})
    if len(every) == 1:
        return
    for name, layer in layers.items():
        layers[name] = UnitStatistics(name, layer.kind)
        for seen in every:
            if name in seen:
                layers[name].add(seen[name])
