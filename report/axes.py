"""Where a number stands on a chart, and which few numbers are written beside it."""

import math
from dataclasses import dataclass
from typing import overload

import numpy as np


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` stand from `start` to `end` in units of the drawing, evenly."""

    low: float
    high: float
    start: float
    end: float

    @overload
    def at(self, value: float) -> float: ...
    @overload
    def at(self, value: np.ndarray) -> np.ndarray: ...
    def at(self, value: float | np.ndarray) -> float | np.ndarray:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most about `most` round numbers (1, 2 or 5 times a power of ten apart) from `low` to `high`."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return []
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def number_text(value: float) -> str:
    """A number in a few digits: 12,000; 0.25; 3e-07."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e7 else f"{value:.3g}"
    return f"{float(f'{value:.4g}'):.10g}" if abs(value) >= 1e-4 else f"{value:.2g}"
