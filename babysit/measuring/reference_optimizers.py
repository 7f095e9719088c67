"""Updates from plain gradients, in place of the program's own: two methods that work without tuning.

Both take the gradients that the trainer shows and set its parameters; the program's optimizer, clipping and schedule
have no part in it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from babysit.driving.guard import Driven
    from babysit.trainer import Array, Batch, Output


def _move(trainer: "Driven", gradients: "dict[str, Array]", change: "Callable[[str, Array], Array]") -> None:
    """Take each change off its parameter, one after the other, and let go of its gradient."""
    held = trainer.parameters()
    for name in list(gradients):
        trainer.set_parameters({name: held[name] - change(name, gradients.pop(name))})


class Rprop:
    """Steps by the gradient's sign alone, each weight at a pace of its own; for one batch over and over.

    Riedmiller & Braun (1993), in the variant iRprop- of Igel & Hüsken (2000), with their constants.

    Args:
        trainer: Names its parameters and shows its gradients.
        first: Length of every weight's first step.
    """

    FASTER, SLOWER = 1.2, 0.5  # where a gradient keeps its sign, and where it turns
    LEAST, MOST = 1e-6, 50.0

    def __init__(self, trainer: "Driven", first: float = 1e-3) -> None:
        self._trainer, self._first = trainer, first
        self._steps: dict[str, Array] = {}
        self._signs: dict[str, Array] = {}

    def step(self, batch: "Batch") -> "Output":
        """One update; the loss is from before it."""
        output, gradients = self._trainer.gradients(batch)
        _move(self._trainer, gradients, self._change)
        return output

    def _change(self, name: str, gradient: "Array") -> "Array":
        from array_api_compat import array_namespace

        xp = array_namespace(gradient)
        sign = xp.sign(gradient)
        if name not in self._steps:
            self._steps[name], self._signs[name] = xp.full_like(sign, self._first), xp.zeros_like(sign)
        agree = sign * self._signs[name]
        pace = xp.where(agree > 0, xp.full_like(sign, self.FASTER), xp.ones_like(sign))
        pace = xp.where(agree < 0, xp.full_like(sign, self.SLOWER), pace)
        self._steps[name] = xp.clip(self._steps[name] * pace, self.LEAST, self.MOST)
        self._signs[name] = xp.where(agree < 0, xp.zeros_like(sign), sign)
        return self._signs[name] * self._steps[name]


class Adam:
    """Adam with the constants of Kingma & Ba (2015); for batches that differ.

    Args:
        trainer: Names its parameters and shows its gradients.
        learning_rate: Theirs.
    """

    FORGET, FORGET_SQUARES, LEAST = 0.9, 0.999, 1e-8

    def __init__(self, trainer: "Driven", learning_rate: float = 1e-3) -> None:
        self._trainer, self._rate = trainer, learning_rate
        self._made = 0
        self._means: dict[str, Array] = {}
        self._squares: dict[str, Array] = {}

    def step(self, batch: "Batch") -> "Output":
        """One update; the loss is from before it."""
        output, gradients = self._trainer.gradients(batch)
        self._made += 1
        _move(self._trainer, gradients, self._change)
        return output

    def _change(self, name: str, gradient: "Array") -> "Array":
        new, new_square = (1 - self.FORGET) * gradient, (1 - self.FORGET_SQUARES) * gradient**2
        self._means[name] = self.FORGET * self._means[name] + new if name in self._means else new
        self._squares[name] = (
            self.FORGET_SQUARES * self._squares[name] + new_square if name in self._squares else new_square
        )
        mean = self._means[name] / (1 - self.FORGET**self._made)
        square = self._squares[name] / (1 - self.FORGET_SQUARES**self._made)
        return self._rate * mean / (square**0.5 + self.LEAST)
