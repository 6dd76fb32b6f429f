"""How well the detector tells odd from good on the image sets, beside two references on the very same features.

    python -m bench.quality [--sets magnetic_tile,elpv_mono] [--seeds 3] [--size 256] [--change memory=6000]...

A set is a folder of ODDLOT_DATA with `train/good`, `test/good` and other folders of odd pictures in `test`. For each
seed a tenth of the good training pictures validates, a fifth calibrates and the rest is learnt from, as `oddlot fit`
does. Labels are used for the printed AUROC alone. What a user without labels can see is the column *made*: the AUROC
between the calibration pictures and synthetic defects pasted into them, one each. `--change` prints the default with
one or more values of its configuration changed (`memory=6000/3000,noise=1`: two scales). The references, which are not
in the product:

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
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

if TYPE_CHECKING:
    from ganomaly.detector import Detector

BANK = 8000
LEFT_OUT = ("likely_defect",)
"""Folders whose label is uncertain."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default="magnetic_tile,elpv_mono")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--change", action="append", default=[], metavar="NAME=VALUE[,...]")
    arguments = parser.parse_args()
    data = image_sets("bench.quality")
    use_all_cores()
    heads = ("made", "latent", "mean", "maximum", "bank", "Gaussian", "pixel")
    print(f"{'set':<16}{'seed':>5}" + "".join(f"{head:>9}" for head in heads) + f"{'fit s':>8}{'per s':>8}")
    for name, change in product(arguments.sets.split(","), arguments.change or [""]):
        if change:
            print(change)
        rows = [measure(data / name, seed, arguments.size, changed(change)) for seed in range(arguments.seeds)]
        for seed, row in enumerate(rows):
            print_row(name, str(seed), row)
        if len(rows) > 1:
            print_row(name, "mean", np.mean(rows, axis=0))
            print_row(name, "+-", np.std(rows, axis=0))


def image_sets(program: str) -> Path:
    """The folder of image sets; says what is missing and ends where there is none."""
    data = os.environ.get("ODDLOT_DATA")
    if not data:
        print(f"{program}: ODDLOT_DATA does not name the folder of image sets", file=sys.stderr)
        sys.exit(2)
    return Path(data)


def use_all_cores() -> None:
    from ganomaly.starting import start_tensorflow
    from oddlot.processes import available_cores

    start_tensorflow(available_cores())


def print_row(name: str, seed: str, row: np.ndarray) -> None:
    print(
        f"{name:<16}{seed:>5}" + "".join(f"{value:>9.3f}" for value in row[:7]) + f"{row[7]:>8.0f}{row[8]:>8.1f}",
        flush=True,
    )


def changed(text: str) -> dict[str, Any]:
    """`memory=3000/3000,noise=1.0` as values of the configuration."""
    pairs = [part.split("=") for part in text.split(",") if part]
    return {
        name: tuple(int(places) for places in value.split("/")) if name == "memory"
        else float(value) if "." in value else int(value)
        for name, value in pairs
    }  # fmt: skip


def measure(folder: Path, seed: int, size: int, change: dict[str, Any]) -> np.ndarray:
    """AUROC on synthetic defects; on the set's own of latent, mean residual, maximum residual (the score), bank and
    Gaussian; AUROC of the map by pixel, NaN without masks; seconds of the fit; pictures scored a second."""
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
    config = replace(config_for("features", size, preprocessing.channels), **change)
    began = time.monotonic()
    detector = train(pictures[parts.train], pictures[parts.validation], config, seed=seed).detector
    fitted = time.monotonic() - began
    began = time.monotonic()
    scored = detector.score(test)
    scores = scored.parts
    rate = len(test) / (time.monotonic() - began)
    learnt, seen = detector.view.see_all(pictures[parts.train])[0].maps, detector.view.see_all(test)[0].maps
    by_score = [roc_auc_score(odd, scores[part]) for part in ("latent", "contextual", "residual")]
    references = [roc_auc_score(odd, distance(learnt, seen, seed)) for distance in (to_bank, to_gaussian)]
    made = on_synthetic(detector, pictures[parts.calibration], seed)
    return np.array([made, *by_score, *references, by_pixel(folder, tested, scored.maps, size), fitted, rate])


def by_pixel(folder: Path, tested: list[Path], maps: np.ndarray, size: int) -> float:
    """AUROC of all pixels of all test pictures together, at `size` pixels; masks stand in `ground_truth`. Prints that
    of each kind of defect beside the good pictures: the kind with the largest area decides for all together."""
    truth, heat = [], []
    for path, one in zip(tested, maps, strict=True):
        mask = folder / "ground_truth" / path.parent.name / f"{path.stem}.png"
        if path.parent.name == "good":
            truth.append(np.zeros((size, size), bool))
        elif mask.exists():
            with Image.open(mask) as picture:
                truth.append(np.asarray(picture.convert("L").resize((size, size))) > 127)
        else:
            return float("nan")
        heat.append(np.asarray(Image.fromarray(one).resize((size, size), Image.Resampling.BILINEAR)))
    kinds = np.array([path.parent.name for path in tested])
    for kind in sorted({*kinds} - {"good"}):
        of_kind = np.flatnonzero((kinds == kind) | (kinds == "good"))
        value = roc_auc_score(
            np.concatenate([truth[i].ravel() for i in of_kind]), np.concatenate([heat[i].ravel() for i in of_kind])
        )
        print(f"  pixels, {kind}: {value:.3f}")
    return float(roc_auc_score(np.stack(truth).ravel(), np.stack(heat).ravel()))


def on_synthetic(detector: "Detector", good: np.ndarray, seed: int) -> float:
    """AUROC between good pictures and the same with one defect each, of random kind, size and contrast."""
    from ganomaly.synthetic import CONTRASTS, KINDS, SIZES, paste

    rng = np.random.default_rng(seed)
    contrasts = [CONTRASTS["clear"], CONTRASTS["strong"]]
    pasted = [paste(one, rng.choice(KINDS), rng.choice(SIZES[1:]), rng.choice(contrasts), rng) for one in good]
    odd = np.stack([picture for picture, mask in pasted if mask.any()])
    scores = detector.score(np.concatenate([good, odd]), maps=False).raw
    return float(roc_auc_score(np.arange(len(scores)) >= len(good), scores))


def read_all(paths: list[str], preprocessing: object) -> np.ndarray:
    from pictures.reading import read_picture

    limits = {"max_pixels": 10**9, "max_file_bytes": 10**9}
    return np.stack([read_picture(path, preprocessing, **limits).pixels for path in paths])


def to_bank(learnt: np.ndarray, seen: np.ndarray, seed: int) -> np.ndarray:
    from ganomaly.memory import nearest_squares

    places = learnt.reshape(-1, learnt.shape[-1])
    bank = places[np.random.default_rng(seed).permutation(len(places))[:BANK]]
    return np.array([nearest_squares(one.reshape(-1, one.shape[-1]), bank).max() for one in seen])


def to_gaussian(learnt: np.ndarray, seen: np.ndarray, seed: int) -> np.ndarray:
    places = learnt.reshape(-1, learnt.shape[-1]).astype(np.float64)
    inverse = np.linalg.inv(np.cov(places, rowvar=False) + 1e-3 * np.eye(places.shape[1]))
    away = seen - places.mean(axis=0)
    return np.einsum("nhwc,cd,nhwd->nhw", away, inverse, away, optimize=True).max(axis=(1, 2))


if __name__ == "__main__":
    main()
