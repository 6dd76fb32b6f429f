"""What tiles are good for: a small spot on a large picture, found or not, with and without `--tiles`.

    python -m bench.tiles [--side 1024] [--spot 12] [--updates 160]

Draws brushed sheets of metal, `--side` pixels a side, half of the tested ones with one dark spot `--spot` pixels wide.
Prints the image AUROC of the score, seconds of the fit and pictures scored a second for the default network: without
tiles at 256 and 512 pixels, with the tiles that `--tiles auto` chooses, and on a region of a quarter of the side around
the spot. All are trained with the same number of updates on the same pictures, one seed. Takes some minutes.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
from sklearn.metrics import roc_auc_score

GOOD, JUDGING, TESTED = 40, 8, 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--spot", type=int, default=12)
    parser.add_argument("--updates", type=int, default=160)
    arguments = parser.parse_args()
    from ganomaly.starting import start_tensorflow
    from oddlot.processes import available_cores

    start_tensorflow(available_cores())
    from trainer.look import AUTO_TILES

    side, tiles = arguments.side, min(AUTO_TILES, max(1, round((arguments.side - 256) / 224) + 1))
    good = np.stack([sheet([0, i], side) for i in range(GOOD + JUDGING)])
    test = np.stack([sheet([1, i], side, arguments.spot if i % 2 else 0) for i in range(2 * TESTED)])
    print(f"{'looked at':<28}{'AUROC':>8}{'fit s':>8}{'per s':>8}")
    for size, rows in ((256, 1), (512, 1), (256, tiles)):
        name = f"{size}x{size}, whole" if rows == 1 else f"{rows}x{rows} tiles of {size}x{size}"
        show(name, *measure(good, test, size, rows, arguments.updates))
    quarter = slice(side * 3 // 8, side * 5 // 8)
    show("256x256, a region", *measure(good[:, quarter, quarter], test[:, quarter, quarter], 256, 1, arguments.updates))


def show(name: str, auroc: float, fitted: float, rate: float) -> None:
    print(f"{name:<28}{auroc:>8.3f}{fitted:>8.0f}{rate:>8.1f}", flush=True)


def sheet(seed: list[int], side: int, spot: int = 0) -> np.ndarray:
    """One gray picture (side, side) uint8; the spot lies in the middle quarter."""
    import cv2

    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, (side, side)).astype(np.float32)
    brushed = cv2.GaussianBlur(noise, (0, 0), sigmaX=12, sigmaY=0.8)
    clouds = cv2.resize(rng.normal(0, 1, (5, 5)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    pixels = 140 + 14 * brushed / brushed.std() + 8 * clouds + 3 * noise
    if spot:
        y, x = np.mgrid[:side, :side]
        at_y, at_x = rng.uniform(0.4, 0.6, 2) * side
        pixels = pixels - 45 * np.exp(-((((x - at_x) ** 2 + (y - at_y) ** 2) / (spot / 2) ** 2) ** 2))
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def measure(good: np.ndarray, test: np.ndarray, size: int, rows: int, updates: int) -> tuple[float, float, float]:
    """AUROC, seconds of the fit, pictures scored a second; in rows x rows tiles of `size` pixels a side."""
    from ganomaly.config import config_for
    from ganomaly.tiling import Layout
    from ganomaly.training import train

    layout = Layout(rows, rows, size)
    config = replace(config_for("features", size, 1), rows=rows, columns=rows)
    every = range(rows * rows)
    learnt, judged = (layout.cut(reduced(part, layout), every) for part in (good[:GOOD], good[GOOD:]))
    steps = -(-len(learnt) // min(config.batch_size, max(4, len(learnt) // 8)))
    began = time.monotonic()
    detector = train(learnt, judged, config, seed=0, epochs=max(1, round(updates / steps))).detector
    fitted = time.monotonic() - began
    canvases = reduced(test, layout)
    began = time.monotonic()
    raw = detector.score(canvases, maps=False).raw
    rate = len(test) / (time.monotonic() - began)
    return float(roc_auc_score(np.arange(len(test)) % 2, raw)), fitted, rate


def reduced(pictures: np.ndarray, layout: object) -> np.ndarray:
    from pictures.decoding import Decoded
    from pictures.preprocessing import Preprocessing
    from pictures.reading import preprocess

    model = Preprocessing(layout.size, 1, canvas=layout.canvas)
    height, width = pictures.shape[1:3]
    return np.stack([preprocess(Decoded(picture, 255.0, width, height, None), model) for picture in pictures])


if __name__ == "__main__":
    main()
