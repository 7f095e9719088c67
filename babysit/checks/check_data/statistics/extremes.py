"""Smallest and largest values over many examples, and how many examples have them."""

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any


class Extremes:
    """Of each element of an example; of all elements, from where shapes differ.

    Attributes:
        least: The smallest value of each element.
        most: The largest.
    """

    def __init__(self) -> None:
        self.least: Array = None
        self.most: Array = None
        self._at_least: Array = 0
        self._at_most: Array = 0

    def add(self, leaf: Array) -> None:
        """Add examples (N, ...) of finite numbers."""
        if self.least is not None and leaf.shape[1:] != self.least.shape:
            self._join_elements()
            leaf = leaf.reshape(-1)
        least, most = leaf.min(axis=0), leaf.max(axis=0)
        at_least, at_most = (np.add.reduce(leaf == end, axis=0, dtype=np.int32) for end in (least, most))
        if self.least is not None:
            at_least = _joined(self.least < least, self.least == least, self._at_least, at_least)
            at_most = _joined(self.most > most, self.most == most, self._at_most, at_most)
            least, most = np.minimum(self.least, least), np.maximum(self.most, most)
        self.least, self.most, self._at_least, self._at_most = least, most, at_least, at_most

    def _join_elements(self) -> None:
        least, most = self.least.min(), self.most.max()
        self._at_least = np.sum(self._at_least, where=self.least == least)
        self._at_most = np.sum(self._at_most, where=self.most == most)
        self.least, self.most = least, most

    @property
    def ranges(self) -> Array:
        """From the smallest to the largest value of each element, one after the other."""
        return np.subtract(self.most, self.least, dtype=np.float64).reshape(-1)

    @property
    def at_ends(self) -> Array:
        """How many examples have either value, element by element."""
        return np.where(self.most > self.least, self._at_least + self._at_most, self._at_least).reshape(-1)


def _joined(kept: Array, equal: Array, before: Array, now: Array) -> Array:
    """How many have the extreme of both: those of the one, the other, or both where it is the same."""
    return np.where(kept, before, np.where(equal, before + now, now))
