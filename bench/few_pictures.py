"""Few good pictures: folds beside one split, on the image sets.

    python -m bench.few_pictures [--sets magnetic_tile,elpv_mono] [--pictures 120] [--seeds 3]

For each seed some of a set's good training pictures are fitted twice: with one split, as many of them as possible held
out, and with folds. Printed are the AUROC on the set's test pictures, the false-alarm rate that each can promise on
average, the share of flagged among good pictures that neither saw, the share of flagged among defects, the seconds of
the fit and the pictures scored a second. Labels choose nothing. A seed takes about five minutes on two cores.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from bench.quality import LEFT_OUT, image_sets, read_all, use_all_cores
from ganomaly.room import Room


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default="magnetic_tile,elpv_mono")
    parser.add_argument("--pictures", type=int, default=120)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", default="1,5")
    arguments = parser.parse_args()
    data = image_sets("bench.few_pictures")
    use_all_cores()
    heads = ("AUROC", "promised", "realised", "recall", "fit s", "per s")
    print(f"{'set':<16}{'folds':>6}{'seed':>5}" + "".join(f"{head:>10}" for head in heads))
    for name in arguments.sets.split(","):
        for folds in map(int, arguments.folds.split(",")):
            rows = []
            for seed in range(arguments.seeds):
                rows.append(measure(data / name, arguments.pictures, folds, seed))
                print_row(name, folds, str(seed), rows[-1])
            print_row(name, folds, "mean", np.mean(rows, axis=0))


def print_row(name: str, folds: int, seed: str, row: np.ndarray) -> None:
    print(f"{name:<16}{folds:>6}{seed:>5}" + "".join(f"{value:>10.3f}" for value in row), flush=True)


def measure(folder: Path, pictures: int, folds: int, seed: int) -> np.ndarray:
    """AUROC, rate promised, share of good pictures flagged, of defects flagged; seconds; pictures scored a second."""
    from ganomaly.calibration import CROSS, SPLIT, Calibration
    from ganomaly.config import config_for
    from pictures.preprocessing import choose_preprocessing
    from trainer.fit import Silent
    from trainer.folding import split_or_fold
    from trainer.learning import learn
    from trainer.look import Look
    from trainer.training_set import TrainingSet

    good = sorted(str(path) for path in (folder / "train" / "good").iterdir())
    order = np.random.default_rng([seed, 7]).permutation(len(good))
    chosen, unseen = order[:pictures], order[pictures:][:400]
    tested = sorted(path for path in (folder / "test").glob("*/*") if path.parent.name not in LEFT_OUT)
    odd = np.array([path.parent.name != "good" for path in tested])
    size = 256
    preprocessing = choose_preprocessing(good, size)
    learnt_from = read_all([good[i] for i in chosen], preprocessing)
    fresh = read_all([good[i] for i in unseen], preprocessing)
    test = read_all([str(path) for path in tested], preprocessing)
    look = Look(preprocessing, config_for("features", size, preprocessing.channels), None)
    training = TrainingSet(learnt_from, [str(i) for i in chosen], [], "", [])
    parts = split_or_fold(pictures, None, folds, seed)
    with tempfile.TemporaryDirectory() as scratch:
        began = time.monotonic()
        room = Room()
        learnt = learn(training, parts, look, Path(scratch), Silent(), room, seed=seed, epochs=None, minutes=None)
        fitted = time.monotonic() - began
    calibration = Calibration.fit(learnt.scores.raw, method=SPLIT if folds == 1 else CROSS)
    began = time.monotonic()
    scores = learnt.detector.score(test).raw
    rate = len(test) / (time.monotonic() - began)
    alarms = calibration.flagged(learnt.detector.score(fresh, maps=False).raw).mean()
    recall = calibration.flagged(scores[odd]).mean()
    return np.array([roc_auc_score(odd, scores), calibration.false_alarms, alarms, recall, fitted, rate])


if __name__ == "__main__":
    main()
