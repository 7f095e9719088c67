"""Broken trainers for `babysit.lab.faults.monitoring`: what only a longer run shows."""

from collections.abc import Mapping

from babysit.lab.layers import Array
from babysit.lab.trainer import LabTrainer
from babysit.trainer import State


class RateFinderLeftIn(LabTrainer):
    """Multiplies its step size by 1.05 with each update, as a search for the largest good rate does."""

    growth = 1.05
    made = 0

    def _update(self, gradients: Mapping[str, Array]) -> None:
        rate = self.learning_rate
        self.learning_rate = rate * self.growth**self.made
        super()._update(gradients)
        self.learning_rate, self.made = rate, self.made + 1

    def save(self) -> State:
        """With the number of updates."""
        return {**super().save(), "made": self.made}

    def load(self, state: State) -> None:
        """Back to that number."""
        super().load(state)
        self.made = state["made"]
