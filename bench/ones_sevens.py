"""The paper's network on MNIST: digit 1 is good, digit 7 is odd; 32 pixels, six epochs over 2,000 ones.

    python -m bench.ones_sevens [--seeds 3]

Prints the image AUROC of the latent score on all test ones and sevens, seed by seed.
"""

import argparse

import numpy as np
from sklearn.metrics import roc_auc_score

from bench.mnist import load, resized


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    mnist = load()
    from ganomaly.starting import start_tensorflow
    from oddlot.processes import available_cores

    start_tensorflow(available_cores())
    from ganomaly.config import paper
    from ganomaly.training import train

    ones, sevens = (resized(mnist["x_test"][mnist["y_test"] == digit], 32) for digit in (1, 7))
    learnt = resized(mnist["x_train"][mnist["y_train"] == 1][:2400], 32)
    odd = np.repeat([0, 1], [len(ones), len(sevens)])
    for seed in range(seeds):
        detector = train(learnt[:2000], learnt[2000:], paper(32, 1), seed=seed, epochs=6).detector
        raw = detector.score(np.concatenate([ones, sevens]), maps=False).raw
        print(f"seed {seed}: AUROC {roc_auc_score(odd, raw):.4f}", flush=True)


if __name__ == "__main__":
    main()
