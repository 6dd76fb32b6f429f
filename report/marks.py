"""What all charts have: the field, its axes, the legend, and the words around them."""

from collections.abc import Sequence
from html import escape

from report.axes import Axis, number_text, ticks

WIDTH, HEIGHT = 440, 220
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 24, 40
"""Units of the drawing around the field of the data. Small, so that the letters can be read on a telephone."""


def legend(marks: Sequence[tuple[str, str]]) -> str:
    parts, across = "", float(LEFT)
    room = (WIDTH - LEFT - RIGHT) / max(1, len(marks)) - 18
    for name, kind in marks:
        name = name if len(name) * 6 <= room else name[: max(3, int(room / 6) - 1)] + "\u2026"
        parts += f'<g class="chart-key-{kind}">{_key(kind, across)}</g>' + text(across + 14, 12, name, "start")
        across += 14 + 6.4 * len(name) + 14
    return parts


def _key(kind: str, across: float) -> str:
    if kind == "marked":
        return (f'<path class="chart-marked" d="M{across + 5:.1f} 3l5 5l-5 5l-5-5z" fill="none" '
                'stroke="currentColor" stroke-width="1.5"/>')  # fmt: skip
    if kind == "model":
        return (f'<rect class="chart-model" x="{across:.1f}" y="3" width="10" height="10" fill="currentColor" '
                'fill-opacity="0.12" stroke="currentColor" stroke-width="1.5" stroke-opacity="0.6"/>')  # fmt: skip
    if kind == "tonight":
        return (f'<rect class="chart-tonight" x="{across:.1f}" y="3" width="10" height="10" fill="currentColor" '
                'fill-opacity="0.55"/>')  # fmt: skip
    name = f"chart-point chart-{kind}" if kind.startswith("line") else f"chart-{kind}"
    radius = {"dots": 2, "flagged": 3}.get(kind, 4)
    return f'<circle class="{name}-key {name}" cx="{across + 5:.1f}" cy="8" r="{radius}" fill="currentColor"/>'


def y_axis(y: Axis, label: str) -> list[str]:
    parts = []
    for value in ticks(y.low, y.high, 4):
        level = y.at(value)
        parts.append(f'<line class="chart-grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{level:.1f}" y2="{level:.1f}" '
                     'stroke="currentColor" stroke-opacity="0.15"/>')  # fmt: skip
        parts.append(text(LEFT - 6, level + 4, number_text(value), "end"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text class="chart-label" x="12" y="{middle:.1f}" transform="rotate(-90 12 {middle:.1f})" '
                 f'text-anchor="middle" font-size="12" fill="currentColor">{safe(label)}</text>')  # fmt: skip
    return parts


def x_axis(x: Axis, label: str, *, whole: bool = False) -> list[str]:
    parts = [frame()]
    for value in ticks(x.low, x.high, 5):
        if whole and value != int(value):
            continue
        words = number_text(value)
        across = min(x.at(value), WIDTH - 1 - 3.4 * len(words))
        parts.append(text(across, HEIGHT - BOTTOM + 16, words, "middle"))
    return [*parts, text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, label, "middle")]


def frame() -> str:
    return (f'<line class="chart-axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" '
            f'y2="{HEIGHT - BOTTOM}" stroke="currentColor" stroke-opacity="0.6"/>')  # fmt: skip


def text(across: float, up: float, text: str, anchor: str) -> str:
    return (f'<text class="chart-text" x="{across:.1f}" y="{up:.1f}" text-anchor="{anchor}" font-size="12" '
            f'fill="currentColor">{safe(text)}</text>')  # fmt: skip


def empty(title: str, words: str) -> str:
    return svg(title, words, [frame(), text(WIDTH / 2, HEIGHT / 2, words, "middle")])


def svg(title: str, description: str, parts: Sequence[str]) -> str:
    return (f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{safe(title)}" font-family="system-ui, sans-serif"><title>{safe(title)}</title>'
            f"<desc>{safe(description)}</desc>{''.join(parts)}</svg>")  # fmt: skip


def safe(text: str) -> str:
    """Text for a page: escaped, without what XML forbids (controls, halves of characters)."""
    plain = "".join(letter if letter.isprintable() else "\ufffd" for letter in str(text))
    return escape(plain.encode("utf-8", "replace").decode("utf-8"), quote=True)
