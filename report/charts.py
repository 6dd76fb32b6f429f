"""Charts as SVG text: a few marks, real numbers, and words for those who cannot see them.

The text is safe in a page with `style-src 'self'`: no style attribute, no style element, no script. Colours are
`currentColor` and opacities, which need no stylesheet; `stylesheet()` gives those that look better, dark and light.
Every text from outside is escaped. The same arguments give the same text.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from report.axes import Axis, number_text
from report.marks import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, empty, frame, legend, safe, svg, text, x_axis, y_axis

LEAST_BAR = 1.5
MOST_LINES = 4


@dataclass(frozen=True)
class Series:
    """One distribution: `heights` has one value a bin, all of one unit; `kind` is "model" or "tonight"."""

    name: str
    heights: Sequence[float]
    kind: str = "tonight"


@dataclass(frozen=True)
class TrendPoint:
    """One night: `value` is None where there is none to show; `mark` says why it is drawn open ("held"), or None."""

    label: str
    value: float | None
    mark: str | None = None


@dataclass(frozen=True)
class TrendLine:
    """One line of the trend; nights of equal labels stand above each other."""

    name: str
    points: Sequence[TrendPoint]


def stylesheet() -> str:
    """The colours of the charts as CSS; the page defines no more than `color`."""
    return (Path(__file__).parent / "static" / "charts.css").read_text(encoding="utf-8")


def histogram(
    series: Sequence[Series], *, edges: Sequence[float], threshold: float | None = None, title: str,
    x_label: str = "", y_label: str = "", percent: bool = True, description: str | None = None,
) -> str:  # fmt: skip
    """One or two distributions over the same bins: the model's as an outlined area, tonight's as bars before it.

    `edges`: k + 1 increasing numbers. Heights are shares of 1 where `percent`, else counts. A bin that is not empty is
    always to be seen. What is not finite is left out.
    """
    bounds = [float(edge) for edge in edges]
    if len(bounds) < 2 or not all(math.isfinite(edge) for edge in bounds) or bounds[0] >= bounds[-1]:
        return empty(title, "There is nothing to show.")
    factor = 100.0 if percent else 1.0
    shown = [(one, [factor * _finite(height) for height in one.heights][: len(bounds) - 1]) for one in series[:2]]
    top = max((height for _, heights in shown for height in heights), default=0.0)
    x = Axis(bounds[0], bounds[-1], LEFT, WIDTH - RIGHT)
    y = Axis(0.0, top * 1.05 or 1.0, HEIGHT - BOTTOM, TOP)
    parts = [*y_axis(y, y_label or ("share of pictures, %" if percent else "pictures")), *x_axis(x, x_label)]
    for one, heights in sorted(shown, key=lambda pair: pair[0].kind != "model"):
        parts.append(_area(heights, bounds, x, y) if one.kind == "model" else _bars(heights, bounds, x, y))
    if threshold is not None and math.isfinite(threshold):
        parts.append(_upright(x, threshold, "threshold"))
    parts.append(legend([(one.name, "model" if one.kind == "model" else "tonight") for one, _ in shown]))
    return svg(title, description or _told(shown, bounds, "%" if percent else "pictures"), parts)


def scatter(
    scores: Sequence[float] | np.ndarray, *, threshold: float = 0.5, title: str, x_label: str = "in the order listed",
    y_label: str = "score", description: str | None = None,
) -> str:  # fmt: skip
    """Every score in the order of the night, those above the threshold marked; `scores` is (n,) in [0, 1].

    Points that would cover each other are drawn once, in a raster that is finer above the threshold: so 100,000
    pictures stay some 100 KB, and no flagged one disappears but under another flagged one.
    """
    values = np.asarray(scores, np.float64).ravel()
    values = np.where(np.isfinite(values), values, 0.0)
    if not len(values):
        return empty(title, "No picture was scored.")
    x = Axis(1.0, float(max(len(values), 2)), LEFT + 4, WIDTH - RIGHT - 4)
    y = Axis(0.0, max(1.0, float(values.max())), HEIGHT - BOTTOM, TOP)
    flagged = values > threshold
    at = np.column_stack([x.at(np.arange(1, len(values) + 1)), y.at(values)])
    parts = [*y_axis(y, y_label), *x_axis(x, x_label, whole=True)]
    parts.append(
        _dots(at[~flagged], *((1.0, 3.0) if len(values) <= 2000 else (2.0, 2.0)), "chart-dots", (0.2, 0.35, 0.55, 0.8))
    )
    parts.append(_dots(at[flagged], 1.0, 3.5, "chart-flagged", (0.9,)))
    level = y.at(threshold)
    parts.append(f'<line class="chart-threshold" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{level:.1f}" y2="{level:.1f}" '
                 'stroke="currentColor" stroke-width="1.5" stroke-dasharray="5 3"/>')  # fmt: skip
    parts.append(legend([("flagged", "flagged"), ("not flagged", "dots")]))
    told = f"{int(flagged.sum()):,} of {len(values):,} scores lie above the threshold of {number_text(threshold)}; "
    told += f"the median is {np.median(values):.3g}, the highest {values.max():.3g}."
    return svg(title, description or told, parts)


def trend(
    lines: Sequence[TrendLine], *, title: str, y_label: str = "flagged, %", description: str | None = None
) -> str:
    """One value a night for at most four lines; a night with a mark is an open diamond, with its word in a tooltip."""
    lines = lines[:MOST_LINES]
    labels = sorted({point.label for line in lines for point in line.points})
    values = [v for line in lines for point in line.points if (v := _value(point)) is not None]
    if not labels or not values:
        return empty(title, "There is no night to show yet.")
    x = Axis(0.0, float(max(len(labels) - 1, 1)), LEFT + 8, WIDTH - RIGHT - 8)
    y = Axis(0.0, max(values) * 1.1 or 1.0, HEIGHT - BOTTOM, TOP)
    place = {label: x.at(float(number)) for number, label in enumerate(labels)}
    if len(labels) == 1:
        place = {labels[0]: (LEFT + WIDTH - RIGHT) / 2}
    parts = [*y_axis(y, y_label), frame()]
    step = max(1, math.ceil(len(labels) / 4))
    for label in labels[::-step][::-1]:
        anchor = "end" if label == labels[-1] and len(labels) > 1 else "middle"
        parts.append(text(min(place[label] + (8 if anchor == "end" else 0), WIDTH - 2), HEIGHT - BOTTOM + 16,
                           label, anchor))  # fmt: skip
    for number, line in enumerate(lines, start=1):
        parts += _line(line, number, place, y)
    marks = [(line.name, f"line-{number}") for number, line in enumerate(lines, start=1)] if len(lines) > 1 else []
    words = sorted({point.mark for line in lines for point in line.points if point.mark and _value(point) is not None})
    parts.append(legend([*marks, *((word, "marked") for word in words[:2])]))
    told = " ".join(
        f"{line.name}: " + ", ".join(_point_text(point) for point in line.points[-10:]) + "." for line in lines
    )
    return svg(title, description or told, parts)


def _line(line: TrendLine, number: int, place: dict[str, float], y: Axis) -> list[str]:
    shown = [(place[point.label], y.at(value), point) for point in line.points if (value := _value(point)) is not None]
    way = " ".join(f"{across:.1f},{up:.1f}" for across, up, _ in shown)
    parts = [f'<polyline class="chart-line chart-line-{number}" points="{way}" fill="none" stroke="currentColor" '
             'stroke-width="1.5" stroke-linejoin="round"/>']  # fmt: skip
    for across, up, point in shown:
        told = f"<title>{safe(line.name)}, {safe(_point_text(point))}</title>"
        if point.mark:
            parts.append(f'<path class="chart-marked" d="M{across:.1f} {up - 5:.1f}l5 5l-5 5l-5-5z" fill="none" '
                         f'stroke="currentColor" stroke-width="1.5">{told}</path>')  # fmt: skip
        else:
            parts.append(f'<circle class="chart-point chart-line-{number}" cx="{across:.1f}" cy="{up:.1f}" r="3" '
                         f'fill="currentColor">{told}</circle>')  # fmt: skip
    return parts


def _value(point: TrendPoint) -> float | None:
    return point.value if point.value is not None and math.isfinite(point.value) else None


def _point_text(point: TrendPoint) -> str:
    value = _value(point)
    told = "none" if value is None else number_text(value)
    return f"{point.label} {told}" + (f" ({point.mark})" if point.mark else "")


def _area(heights: list[float], bounds: list[float], x: Axis, y: Axis) -> str:
    way = f"M{x.at(bounds[0]):.1f} {y.at(0.0):.1f}"
    for number, height in enumerate(heights):
        way += f"V{_up(height, y):.1f}H{x.at(bounds[number + 1]):.1f}"
    way += f"V{y.at(0.0):.1f}"
    return (f'<path class="chart-model" d="{way}" fill="currentColor" fill-opacity="0.12" stroke="currentColor" '
            'stroke-width="1.5" stroke-opacity="0.6"/>')  # fmt: skip


def _bars(heights: list[float], bounds: list[float], x: Axis, y: Axis) -> str:
    way, ground = "", y.at(0.0)
    for number, height in enumerate(heights):
        if height > 0:
            left, right = x.at(bounds[number]), x.at(bounds[number + 1])
            gap = min(0.5, (right - left) / 8)
            way += f"M{left + gap:.1f} {ground:.1f}V{_up(height, y):.1f}H{right - gap:.1f}V{ground:.1f}z"
    return f'<path class="chart-tonight" d="{way}" fill="currentColor" fill-opacity="0.55"/>'


def _up(height: float, y: Axis) -> float:
    return min(y.at(height), y.at(0.0) - LEAST_BAR) if height > 0 else y.at(0.0)


def _dots(at: np.ndarray, raster: float, size: float, name: str, opacities: Sequence[float]) -> str:
    """Each place once, stronger the more points it stands for, in as many steps as there are opacities."""
    cells, counts = np.unique(np.rint(at / raster).astype(np.int64), axis=0, return_counts=True)
    if not len(cells):
        return ""
    steps = len(opacities)
    most = np.log(counts.max() + 1.0)
    step = np.minimum((steps * np.log(counts + 1.0) / most).astype(int), steps - 1)
    parts = []
    for number, opacity in enumerate(opacities):
        way = "".join(f"M{across:.4g} {up:.4g}h0" for across, up in cells[step == number] * raster)
        if way:
            parts.append(f'<path class="{name}" d="{way}" fill="none" stroke="currentColor" stroke-linecap="round" '
                         f'stroke-width="{size}" stroke-opacity="{opacity}"/>')  # fmt: skip
    return "".join(parts)


def _upright(x: Axis, value: float, word: str) -> str:
    across = min(max(x.at(value), LEFT), WIDTH - RIGHT)
    anchor, shift = ("end", -4) if across > (LEFT + WIDTH - RIGHT) / 2 + 40 else ("start", 4)
    return (f'<line class="chart-threshold" x1="{across:.1f}" x2="{across:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" '
            'stroke="currentColor" stroke-width="1.5" stroke-dasharray="5 3"/>'
            + text(across + shift, TOP + 10, word, anchor))  # fmt: skip


def _told(shown: Sequence[tuple[Series, list[float]]], bounds: list[float], unit: str) -> str:
    words = []
    for one, heights in shown:
        if heights and max(heights) > 0:
            most = heights.index(max(heights))
            words.append(f"{one.name}: most between {number_text(bounds[most])} and {number_text(bounds[most + 1])} "
                         f"({number_text(heights[most])} {unit}).")  # fmt: skip
        else:
            words.append(f"{one.name}: none.")
    return " ".join(words)


def _finite(value: float) -> float:
    number = float(value)
    return number if math.isfinite(number) and number > 0 else 0.0
