"""What heat maps cost: time for a picture that is not flagged, time and bytes for one that is.

    python -m bench.heat_maps

Scores 32 random pictures with and without asking for the maps, in turns; then turns the 32 maps into heat, and writes
as many of noise, which packs worse than any real one, into a temporary folder. The figures stand in
docs/decisions/0010-heat-maps.md. Takes a minute.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROUNDS = 15
NETWORKS = (("features", 128), ("features", 256), ("paper", 64))


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(architecture: str, size: int) -> None:
    from ganomaly.bundle import Bundle
    from ganomaly.calibration import Calibration
    from ganomaly.config import config_for
    from ganomaly.detector import Detector
    from ganomaly.heat import heat
    from ganomaly.scoring import SCORING_BATCH
    from pictures.heatmap import pack_heat
    from worker.map_store import MapWriter

    pictures = np.random.default_rng(0).integers(0, 256, (SCORING_BATCH, size, size, 1), dtype=np.uint8)
    detector = Detector(config_for(architecture, size, 1, "residual"))
    maps = detector.score(pictures).maps
    assert maps is not None
    rounds = [
        (seconds(lambda: detector.score(pictures, maps=False)), seconds(lambda: detector.score(pictures)))
        for _ in range(ROUNDS)
    ]
    without, within = (statistics.median(column) / SCORING_BATCH for column in zip(*rounds, strict=True))
    bundle = Bundle(detector, Calibration.fit(maps.max(axis=(1, 2)), 0.5), {}, {}, "")
    with tempfile.TemporaryDirectory() as folder:
        writer = MapWriter(Path(folder), 1)

        noise = np.random.default_rng(0).random(maps.shape)

        def store() -> None:
            heat(bundle, maps)
            for number, one in enumerate(noise):
                writer.write(number, pack_heat(one))

        writing = statistics.median(seconds(store) for _ in range(ROUNDS)) / SCORING_BATCH
        sizes = [path.stat().st_size for path in Path(folder).rglob("*.png")]
    print(
        f"{architecture} at {size} pixels, map {maps.shape[1]} x {maps.shape[2]}: scoring {without * 1000:.2f} ms a "
        f"picture, with its map {within * 1000:.2f}; storing one {writing * 1000:.2f} ms, {max(sizes)} bytes"
    )


def main() -> None:
    for architecture, size in NETWORKS:
        measure(architecture, size)


if __name__ == "__main__":
    main()
