"""How well the detector tells odd from good on the image sets, beside two references on the very same features.

    python -m bench.quality [--sets magnetic_tile,elpv_mono] [--seeds 3] [--size 256]

A set is a folder of ODDLOT_DATA with `train/good`, `test/good` and other folders of odd pictures in `test`. For each
seed a tenth of the good training pictures validates, a fifth calibrates and the rest is learnt from, as `oddlot fit`
does. Labels are used for the printed AUROC alone. The references, which are not in the product:

- memory bank: the distance of a place to its nearest of 8,000 places of training pictures (after Roth et al.: Towards
  Total Recall in Industrial Anomaly Detection, CVPR 2022, without its coreset);
- Gaussian: the Mahalanobis distance of a place to all places of training pictures (after Rippel et al.: Modeling the
  Distribution of Normal Data in Pre-Trained Deep Features, ICPR 2020).

Both take the maximum over places. One run of a set takes about ten minutes a seed on two cores.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

BANK = 8000
LEFT_OUT = ("likely_defect",)
"""Folders whose label is uncertain."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default="magnetic_tile,elpv_mono")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=256)
    arguments = parser.parse_args()
    data = os.environ.get("ODDLOT_DATA")
    if not data:
        print("bench.quality: ODDLOT_DATA does not name the folder of image sets", file=sys.stderr)
        sys.exit(2)
    from ganomaly.threads import set_threads
    from oddlot.processes import available_cores

    set_threads(available_cores())
    heads = ("latent", "mean", "maximum", "bank", "Gaussian")
    print(f"{'set':<16}{'seed':>5}" + "".join(f"{head:>9}" for head in heads) + f"{'fit s':>8}{'per s':>8}")
    for name in arguments.sets.split(","):
        rows = [measure(Path(data) / name, seed, arguments.size) for seed in range(arguments.seeds)]
        for seed, row in enumerate(rows):
            print_row(name, str(seed), row)
        if len(rows) > 1:
            print_row(name, "mean", np.mean(rows, axis=0))
            print_row(name, "+-", np.std(rows, axis=0))


def print_row(name: str, seed: str, row: np.ndarray) -> None:
    print(
        f"{name:<16}{seed:>5}" + "".join(f"{value:>9.3f}" for value in row[:5]) + f"{row[5]:>8.0f}{row[6]:>8.1f}",
        flush=True,
    )


def measure(folder: Path, seed: int, size: int) -> np.ndarray:
    """AUROC of latent, mean residual, maximum residual (the score), bank, Gaussian; seconds of the fit; pictures scored
    a second."""
    from ganomaly.config import config_for
    from ganomaly.training import train
    from pictures.preprocessing import choose_preprocessing
    from trainer.splitting import split

    good = sorted(str(path) for path in (folder / "train" / "good").iterdir())
    tested = sorted(path for path in (folder / "test").glob("*/*") if path.parent.name not in LEFT_OUT)
    odd = np.array([path.parent.name != "good" for path in tested])
    preprocessing = choose_preprocessing(good, size)
    pictures, test = read_all(good, preprocessing), read_all([str(path) for path in tested], preprocessing)
    parts = split(len(pictures), None, seed)
    config = config_for("features", size, preprocessing.channels)
    began = time.monotonic()
    detector = train(pictures[parts.train], pictures[parts.validation], config, seed=seed).detector
    fitted = time.monotonic() - began
    began = time.monotonic()
    scores = detector.score(test, maps=False).parts
    rate = len(test) / (time.monotonic() - began)
    learnt, seen = detector.view.see_all(pictures[parts.train]), detector.view.see_all(test)
    by_score = [roc_auc_score(odd, scores[part]) for part in ("latent", "contextual", "residual")]
    references = [roc_auc_score(odd, distance(learnt, seen, seed)) for distance in (to_bank, to_gaussian)]
    return np.array([*by_score, *references, fitted, rate])


def read_all(paths: list[str], preprocessing: object) -> np.ndarray:
    from pictures.reading import read_picture

    limits = {"max_pixels": 10**9, "max_file_bytes": 10**9}
    return np.stack([read_picture(path, preprocessing, **limits).pixels for path in paths])


def to_bank(learnt: np.ndarray, seen: np.ndarray, seed: int) -> np.ndarray:
    places = learnt.reshape(-1, learnt.shape[-1])
    bank = places[np.random.default_rng(seed).permutation(len(places))[:BANK]]
    squares = (bank**2).sum(axis=1)
    scores = []
    for one in seen:
        at = one.reshape(-1, one.shape[-1])
        nearest = (squares - 2 * at @ bank.T).min(axis=1) + (at**2).sum(axis=1)
        scores.append(nearest.max())
    return np.array(scores)


def to_gaussian(learnt: np.ndarray, seen: np.ndarray, seed: int) -> np.ndarray:
    places = learnt.reshape(-1, learnt.shape[-1]).astype(np.float64)
    inverse = np.linalg.inv(np.cov(places, rowvar=False) + 1e-3 * np.eye(places.shape[1]))
    away = seen - places.mean(axis=0)
    return np.einsum("nhwc,cd,nhwd->nhw", away, inverse, away, optimize=True).max(axis=(1, 2))


if __name__ == "__main__":
    main()
