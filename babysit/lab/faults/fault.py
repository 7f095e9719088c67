"""What a fault of the lab is, and how functions become faults: name, rule, explanation."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from babysit.lab.trainer import LabTrainer

Maker = Callable[[int], LabTrainer]


@dataclass(frozen=True)
class Fault:
    """One way to break the demo.

    Args:
        name: What is broken, in kebab case.
        rule: The id of the rule that should be found first.
        explanation: The mistake in one sentence.
        make: Builds the broken trainer from a seed.
    """

    name: str
    rule: str
    explanation: str
    make: Maker


_faults: dict[str, Fault] = {}
FAULTS: Mapping[str, Fault] = _faults


def breaks(rule: str) -> Callable[[Maker], Maker]:
    """Make a fault of a function: its name is the fault's, its docstring the explanation.

    Args:
        rule: The id of the rule that should be found first.
    """

    def add(make: Maker) -> Maker:
        name = make.__name__.replace("_", "-")
        _faults[name] = Fault(name, rule, inspect.cleandoc(make.__doc__ or ""), make)
        return make

    return add
