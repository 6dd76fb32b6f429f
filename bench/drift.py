"""What `oddlot_drift_ratio` is in good nights and in changed ones: what the limit of its alert was chosen by.

    python -m bench.drift [--sets magnetic_tile,elpv_mono,drawn] [--splits 10]

The nights are those of `bench.held_nights`, without a fit. Prints, of nights of 100 pictures, the median and the
highest of the largest drift of a figure, and in how many of the nights it is above the limit.
"""

import argparse
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench import held_nights
from bench.quality import use_all_cores
from db.findings import Findings
from worker.drift import drift

LIMIT = 0.35
"""That of the rule `OddlotDrift` in deploy/prometheus/rules.yml."""
SIZE = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default="magnetic_tile,elpv_mono,drawn")
    parser.add_argument("--splits", type=int, default=10)
    asked = parser.parse_args()
    use_all_cores()
    found: dict[str, list[float]] = defaultdict(list)
    evidence: dict[str, Any] = {}
    judge, note_down = held_nights.judge_night, held_nights.note_down

    def judged(*of: Any) -> Findings:
        findings = judge(*of)
        evidence.clear()
        evidence.update(findings.evidence)
        return findings

    def noted(rows: Any, kind: str, size: int, *of: Any) -> None:
        note_down(rows, kind, size, *of)
        if size == SIZE:
            del evidence["p_value"]  # drawn, and not those of a model
            found[kind].append(max(drift({"evidence": evidence}).values()))

    patched = {"judge_night": judged, "note_down": noted, "show": lambda _: None}
    for name, function in patched.items():
        setattr(held_nights, name, function)
    with TemporaryDirectory() as scratch:
        folders = {name: held_nights._folder(name, Path(scratch)) for name in asked.sets.split(",")}
        for name, folder in folders.items():
            found.clear()
            others = [path for other, at in folders.items() if other != name for path in held_nights.good(at)[:100]]
            held_nights.split(name, folder, others, asked.splits)
            for kind, ratios in found.items():
                above = sum(ratio > LIMIT for ratio in ratios)
                print(
                    f"  {kind:38} median {np.median(ratios):.2f}  highest {max(ratios):.2f}  {above} of {len(ratios)}"
                )


if __name__ == "__main__":
    main()
