"""The article that the project comes from, once more: MNIST, ones are good, sevens are odd.

    ODDLOT_DATA=... python -m bench.article        (some ten minutes on two cores)

64 x 64 pixels, the article's network and weights 20, 1, 1, 1,000 updates with batches of 32. Three things are not the
article's: the latent of the reconstruction comes from the second encoder; batch normalisation forgets faster (momentum
0.9, not 0.99: with that, 1,000 updates gave an AUROC of 0.36); and the minimum and maximum that scale the scores to
0..1 are those of calibration pictures, so that a score does not depend on the pictures beside it. Prints what the
article's threshold of 0.3 gives, next to the conformal one for 1 % of false alarms, and draws both into
bench/out/article.png.
"""

import time
from pathlib import Path

import matplotlib
import numpy as np
from sklearn.metrics import roc_auc_score

from bench import mnist
from ganomaly.calibration import Calibration
from ganomaly.config import article

GOOD, ODD = 1, 7
SIZE = 64
UPDATES = 1000
EPOCHS = 10
SEED = 0
VALIDATION = 1000
THRESHOLD = 0.3
FALSE_ALARMS = 0.01
PLOT = Path(__file__).parent / "out" / "article.png"


def main() -> None:
    digits = mnist.load()
    from ganomaly.training import train  # only now: TensorFlow prints more than a line

    config = article(SIZE, 1)
    ones = digits["x_train"][digits["y_train"] == GOOD]
    ones = mnist.resized(ones[np.random.default_rng(SEED).permutation(len(ones))], SIZE)
    n = UPDATES // EPOCHS * config.batch_size
    learnt, validation, held_out = np.split(ones, [n, n + VALIDATION])
    good, odd = (mnist.resized(digits["x_test"][digits["y_test"] == digit], SIZE) for digit in (GOOD, ODD))
    print(f"ones: {n} train, {VALIDATION} validate, {len(held_out)} calibrate, {len(good)} test; {len(odd)} sevens")

    began = time.monotonic()
    trained = train(learnt, validation, config, seed=SEED, epochs=EPOCHS)
    print(f"{UPDATES} updates in {time.monotonic() - began:.0f} s; best epoch {trained.best_epoch} of {EPOCHS}")
    raw = [trained.detector.score(pictures, maps=False).raw for pictures in (held_out, good, odd)]
    calibration = Calibration.fit(raw[0], FALSE_ALARMS)
    scaled_good, scaled_odd = calibration.min_max(raw[1]), calibration.min_max(raw[2])
    conformal = float(calibration.min_max(calibration.threshold))

    auroc = roc_auc_score(np.repeat([0, 1], [len(good), len(odd)]), np.concatenate(raw[1:]))
    print(f"AUROC {auroc:.4f}\n\n{'threshold (scaled score)':<40}{'sevens found':>14}{'ones flagged':>14}")
    for name, threshold in (
        (f"the article's, {THRESHOLD:g}", THRESHOLD),
        (f"conformal for {FALSE_ALARMS:.0%} alarms, {conformal:.3f}", conformal),
    ):
        found, alarms = (scaled_odd > threshold).mean(), (scaled_good > threshold).mean()
        print(f"{name:<40}{found:>14.1%}{alarms:>14.1%}")
    draw(scaled_good, scaled_odd, conformal, f"AUROC {auroc:.4f}")
    print(f"\n{PLOT.relative_to(PLOT.parents[2])} is drawn")


def draw(good: np.ndarray, odd: np.ndarray, conformal: float, title: str) -> None:
    """Every test picture a dot, in the order of the test set, on a scale that shows both digits."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5.5), layout="constrained")
    axes.scatter(range(len(good)), good, s=8, alpha=0.6, color="tab:blue", label=f"{len(good)} ones (good)")
    axes.scatter(range(len(good), len(good) + len(odd)), odd, s=8, alpha=0.6, color="tab:red",
                 label=f"{len(odd)} sevens (odd)")  # fmt: skip
    axes.axhline(THRESHOLD, color="black", label=f"the article's threshold, {THRESHOLD:g}")
    axes.axhline(conformal, color="tab:green", linestyle="--",
                 label=f"conformal threshold for {FALSE_ALARMS:.0%}, {conformal:.2f}")  # fmt: skip
    # Linear where the thresholds are; a few odd ones lie far above.
    axes.set_yscale("symlog", linthresh=0.5, linscale=1.5)
    ticks = [tick for tick in (0, 0.1, 0.2, 0.3, 0.4, 0.5, 1, 2, 5, 10, 20, 50) if tick <= 1.2 * max(odd.max(), 0.5)]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.yaxis.minorticks_off()
    axes.set(xlabel="test picture", ylabel="score, scaled by the calibration's minimum and maximum", title=title)
    axes.legend(loc="upper left", framealpha=0.95)
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, dpi=120)


if __name__ == "__main__":
    main()
