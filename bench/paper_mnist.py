"""The MNIST protocol of the paper (Akcay, Atapour-Abarghouei, Breckon, ACCV 2018, section 4): one digit is odd.

    ODDLOT_DATA=... python -m bench.paper_mnist [--digits 0,1,...] [--epochs N] [--pictures N] [--seeds N]

The other nine digits are good. 80 % of the good pictures are there to learn from, the rest and all of the odd digit
are the test set; 32 x 32 pixels, the paper's network, weights and optimiser, its latent score. Prints the image AUROC
of each digit, the mean over the seeds.

The paper gives its MNIST figures as a plot alone (Figure 4a, means over seeds), and no table of them was found: its
column says "not tabulated". Two differences, both against us: the defaults learn from 4,000 of about 50,000 pictures
for 6 epochs, so that ten digits take half an hour on two cores (`--pictures 60000` learns from all), and the epoch
that is kept is the best by the losses of held-out good pictures, where the authors' code keeps the best by the AUROC
of the test set.
"""

import argparse
import time

import numpy as np
from sklearn.metrics import roc_auc_score

from bench import mnist
from ganomaly.config import paper

SIZE = 32
TRAINING_SHARE = 0.8
VALIDATION = 500


def auroc(pictures: np.ndarray, digits: np.ndarray, odd: int, seed: int, epochs: int, most: int) -> float:
    """Image AUROC for the digit `odd` among `pictures` (n, 32, 32, 1) of `digits` (n,)."""
    from ganomaly.training import train  # not earlier: TensorFlow prints much, and the data may be missing

    good = np.random.default_rng([seed, odd]).permutation(np.flatnonzero(digits != odd))
    learnt, tested = np.split(good, [int(TRAINING_SHARE * len(good))])
    validation, learnt = learnt[:VALIDATION], learnt[VALIDATION:][:most]
    trained = train(pictures[learnt], pictures[validation], paper(SIZE, 1), seed=seed, epochs=epochs)
    tested = np.concatenate([tested, np.flatnonzero(digits == odd)])
    raw = trained.detector.score(pictures[tested], maps=False).raw
    return float(roc_auc_score(digits[tested] == odd, raw))


def main() -> None:
    parser = argparse.ArgumentParser(description="the MNIST protocol of the paper: AUROC with one digit odd")
    parser.add_argument("--digits", default="0,1,2,3,4,5,6,7,8,9", help="the odd ones, one after another")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--pictures", type=int, default=4000, help="good pictures to learn from, at most")
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    stored = mnist.load()
    pictures = mnist.resized(np.concatenate([stored["x_train"], stored["x_test"]]), SIZE)
    digits = np.concatenate([stored["y_train"], stored["y_test"]])
    print(f"at most {options.pictures} pictures of 32 x 32, {options.epochs} epochs, seeds: {options.seeds}")
    print(f"{'odd digit':<12}{'AUROC':>8}{'  paper':<18}{'seconds':>8}", flush=True)
    means = []
    for odd in map(int, options.digits.split(",")):
        began = time.monotonic()
        found = [auroc(pictures, digits, odd, seed, options.epochs, options.pictures) for seed in range(options.seeds)]
        means.append(np.mean(found))
        each = "" if len(found) == 1 else "  (" + " ".join(f"{value:.3f}" for value in found) + ")"
        print(f"{odd:<12}{means[-1]:>8.3f}{'  not tabulated':<18}{time.monotonic() - began:>8.0f}{each}", flush=True)
    if len(means) > 1:
        print(f"{'mean':<12}{np.mean(means):>8.3f}")


if __name__ == "__main__":
    main()
