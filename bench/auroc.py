"""How well the scores of a job tell odd from good, where the folders tell the truth.

    oddlot results --job last --format csv -o results.csv
    python -m bench.auroc results.csv

A picture in a folder called `good` is good, any other is odd. Prints files by state, the image AUROC, what the
threshold flags, and both for each folder of odd ones.
"""

import csv
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score


def main() -> None:
    with open(sys.argv[1], encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    print(
        f"{len(rows)} files:",
        ", ".join(f"{count} {state}" for state, count in Counter(r["state"] for r in rows).items()),
    )
    scored = [row for row in rows if row["state"] == "scored"]
    kinds = np.array([Path(row["path"]).parent.name for row in scored])
    raw = np.array([float(row["raw_score"]) for row in scored])
    flagged = np.array([row["flagged"] == "true" for row in scored])
    good = kinds == "good"
    if good.all() or not good.any():
        sys.exit("an AUROC needs good pictures, in a folder called good, and others")
    print(f"flagged {flagged[good].mean():.3f} of {good.sum()} good ones")
    for kind in ["all odd ones", *sorted(set(kinds[~good]))]:
        odd = ~good if kind == "all odd ones" else kinds == kind
        chosen = good | odd
        auroc = roc_auc_score(odd[chosen], raw[chosen])
        print(f"{kind:<16} {odd.sum():>6}  AUROC {auroc:.3f}  flagged {flagged[odd].mean():.3f}")


if __name__ == "__main__":
    main()
