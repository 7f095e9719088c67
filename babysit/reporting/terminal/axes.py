"""Where values lie on an axis, and which of them are labelled."""

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass

_CONSTANT = 1e-9  # relative; a narrower range would need labels of more than ten digits
_LEAST, _MOST = sys.float_info.min * sys.float_info.epsilon, sys.float_info.max


def number(value: float, digits: int = 3) -> str:
    """A number as a person writes it: `%g` with a short exponent."""
    return _short(f"{value:.{digits}g}")


def _short(text: str) -> str:
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def drawable(value: float, log: bool) -> bool:
    """Whether the value has a place on such an axis."""
    return math.isfinite(value) and (not log or value > 0)


@dataclass(frozen=True)
class Axis:
    """A range of values, `low` < `high`, both positive where `log` is set."""

    low: float
    high: float
    log: bool = False

    def position(self, value: float) -> float:
        """0 at the low end, 1 at the high end."""
        if self.log:
            low, high, at = math.log10(self.low), math.log10(self.high), math.log10(value)
        else:
            scale = max(abs(self.low), abs(self.high))  # keeps the difference of huge values finite
            low, high, at = self.low / scale, self.high / scale, value / scale
        return min(1.0, max(0.0, (at - low) / (high - low)))

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """About `most` round values (at least 2) on the axis, each with its label."""
        values = self._log_ticks(most) if self.log else []
        if len(values) >= 2:
            return [(v, _short(f"{v:.0e}") if v < 0.1 or v >= 1000 else number(v)) for v in values]
        values = self._linear_ticks(most)
        digits = next((d for d in range(5, 12) if len({number(v, d) for v in values}) == len(values)), 12)
        return [(v, number(v, digits)) for v in values]

    def _log_ticks(self, most: int) -> list[float]:
        exponents = range(math.floor(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
        decades = [k for k in exponents if self.low <= float(f"1e{k}") <= self.high]
        if len(decades) >= 2:
            return [float(f"1e{k}") for k in decades[:: math.ceil(len(decades) / most)]]
        return [v for k in exponents for m in (1, 2, 5) if self.low <= (v := float(f"{m}e{k}")) <= self.high]

    def _linear_ticks(self, most: int) -> list[float]:
        rough = self.high / most - self.low / most
        if rough < sys.float_info.min:
            return [self.low, self.high]
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-6), math.floor(self.high / step + 1e-6)
        return [k * step for k in range(first, last + 1)] if last > first else [self.low, self.high]


def axis_over(values: Iterable[float], log: bool = False) -> Axis | None:
    """The axis that holds all drawable values; None if there are none."""
    held = [v for v in values if drawable(v, log)]
    if not held:
        return None
    low, high = min(held), max(held)
    if log and math.log10(high) - math.log10(low) <= _CONSTANT:
        return Axis(max(low / 10, _LEAST), min(high, _MOST / 10) * 10, log)
    if not log and high - low <= _CONSTANT * max(abs(low), abs(high)):
        margin = min(abs(low), _MOST / 2) / 2 if abs(low) > sys.float_info.min else 1.0
        return Axis(max(low - margin, -_MOST), min(high + margin, _MOST), log)
    return Axis(low, high, log)
