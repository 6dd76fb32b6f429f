"""Writes the table of metrics in docs/metrics.md anew: python -m scripts.metrics_reference"""

import re
from pathlib import Path

from worker.metric_names import ALL

PAGE = Path(__file__).resolve().parent.parent / "docs" / "metrics.md"
BEGIN, END = "<!-- metrics: made by scripts/metrics_reference.py -->", "<!-- end of metrics -->"
BLOCK = re.compile(f"{BEGIN}.*?{END}", re.DOTALL)


def block() -> str:
    """The table, between the two marks."""
    rows = [
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.says} |" for one in ALL
    ]
    return "\n".join([BEGIN, "", "| metric | kind | labels | what it says |", "|---|---|---|---|", *rows, "", END])


if __name__ == "__main__":
    PAGE.write_text(BLOCK.sub(lambda _: block(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
