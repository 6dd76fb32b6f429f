"""Whether a picture's raw score depends on its place in the batch, and what it costs that it does not.

    python -m bench.same_score

Scores 32 random pictures at each of the 32 places of a batch: with the kernels that oneDNN chooses for this processor,
with those for one that has nothing newer than AVX2, and without oneDNN; each with and without a matrix product for
each picture in `Projection`. Prints the largest relative difference between two scores of one picture, that between
its scores in batches of 32 and of 1, and pictures a second. The weights are random. The figures stand in
docs/decisions/0005-same-score.md. Takes some minutes.
"""

import os
import subprocess
import sys
import time

import numpy as np

import ganomaly  # noqa: F401 - sets oneDNN in the environment, before it is set otherwise below

NETWORKS = (("paper", 32), ("paper", 64), ("article", 32))
BATCHES = 10
KERNELS = {
    "oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "1"},
    "oneDNN, AVX2": {"TF_ENABLE_ONEDNN_OPTS": "1", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "plain": {"TF_ENABLE_ONEDNN_OPTS": "0"},
}


def measure(kernels: str) -> None:
    """Measure in this process, which must not have imported TensorFlow yet."""
    os.environ |= KERNELS[kernels]
    import keras

    from ganomaly import detector, networks, scoring
    from ganomaly.config import config_for
    from ganomaly.gan import GANomaly

    by_picture = networks.Projection.call

    def by_batch(
        layer: keras.layers.Dense, inputs: keras.KerasTensor, training: bool | None = None
    ) -> keras.KerasTensor:
        return keras.layers.Dense.call(layer, inputs)

    for architecture, size in NETWORKS:
        config = config_for(architecture, size, 1)
        pictures = np.random.default_rng(0).integers(0, 256, (scoring.SCORING_BATCH, size, size, 1), dtype=np.uint8)
        for way, call in (("each picture", by_picture), ("whole batch", by_batch)):
            networks.Projection.call = call
            model = GANomaly(config, seed=1)
            scoring.SCORING_BATCH = 1
            alone = detector.Detector.from_models(model).score(pictures, maps=False).raw
            scoring.SCORING_BATCH = len(pictures)
            scoring = detector.Detector.from_models(model)
            scores = np.array(
                [np.roll(scoring.score(np.roll(pictures, n, axis=0), maps=False).raw, -n) for n in range(len(pictures))]
            )
            places = ((scores.max(axis=0) - scores.min(axis=0)) / alone).max()
            shapes = (np.abs(scores[0] - alone) / alone).max()
            seconds = []
            for _ in range(BATCHES):
                began = time.perf_counter()
                scoring.score(pictures)
                seconds.append(time.perf_counter() - began)
            speed = len(pictures) / min(seconds)
            network = f"{architecture} {size}"
            print(f"{kernels:<14}{network:<12}{way:<14}{places:>9.1e}{shapes:>14.1e}{speed:>12.0f}", flush=True)


def main() -> None:
    if len(sys.argv) > 1:
        measure(sys.argv[1])
        return
    print(
        f"{'kernels':<14}{'network':<12}{'product of':<14}{'places':>9}{'batch of 1':>14}{'pictures/s':>12}", flush=True
    )
    for kernels in KERNELS:
        subprocess.run([sys.executable, "-m", "bench.same_score", kernels], stderr=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
