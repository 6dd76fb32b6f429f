"""Procedurally drawn pictures of a machined flange, good and defective, for the demo and the tests.

Drawn four times too large and reduced, so that edges are smooth; noise, light, position and wear differ from picture
to picture. Everything follows from the seed.
"""

import csv
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 160
_SCALE = 3
DEFECTS = ("scratch", "missing hole", "stain", "chip", "dent")


def draw_part(rng: np.random.Generator, defect: str | None = None, side: int = SIDE) -> np.ndarray:
    """One picture (side, side, 3) uint8; `defect` is one of DEFECTS or None for a good part."""
    large = side * _SCALE
    center = large / 2 + rng.normal(0, large * 0.012, 2)
    radius = large * 0.40 * (1 + rng.normal(0, 0.01))
    angle = rng.uniform(-0.10, 0.10)
    canvas = Image.new("L", (large, large), int(rng.uniform(28, 40)))
    pen = ImageDraw.Draw(canvas)

    def disc(at: np.ndarray, r: float, shade: float) -> None:
        pen.ellipse([at[0] - r, at[1] - r, at[0] + r, at[1] + r], fill=int(shade))

    disc(center, radius, 150)
    disc(center, radius * 0.93, 165)
    if defect == "chip":
        a = rng.uniform(0, 2 * np.pi)
        disc(center + radius * 1.02 * np.array([np.cos(a), np.sin(a)]), radius * rng.uniform(0.12, 0.2), 34)
    disc(center, radius * 0.52, 140)
    disc(center, radius * 0.47, 172)
    disc(center, radius * 0.26, 30)
    missing = int(rng.integers(6)) if defect == "missing hole" else -1
    for hole in range(6):
        a = angle + hole * np.pi / 3
        at = center + radius * 0.72 * np.array([np.cos(a), np.sin(a)])
        if hole != missing:
            disc(at, radius * 0.095, 120)
            disc(at, radius * 0.075, 32)
    if defect == "scratch":
        a, length = rng.uniform(0, 2 * np.pi), radius * rng.uniform(0.5, 0.9)
        start = center + radius * rng.uniform(0.5, 0.8) * np.array([np.cos(a), np.sin(a)])
        bend = a + rng.uniform(1.2, 2.0)
        points = [tuple(start + t * length * np.array([np.cos(bend + 0.5 * t), np.sin(bend + 0.5 * t)]))
                  for t in np.linspace(0, 1, 12)]  # fmt: skip
        pen.line(points, fill=int(rng.choice([95, 232])), width=int(rng.integers(4, 8)))
    picture = canvas.filter(ImageFilter.GaussianBlur(_SCALE * 0.6)).resize((side, side), Image.Resampling.BOX)
    pixels = np.asarray(picture, dtype=np.float32)
    yy, xx = np.mgrid[0:side, 0:side].astype(np.float32)
    cx, cy = center / _SCALE
    r = np.hypot(xx - cx, yy - cy)
    metal = pixels > 90
    # Brushed rings: the same lathe, another phase.
    pixels = pixels + metal * 4 * np.sin(r * 1.9 + rng.uniform(0, 6.28))
    pixels = pixels + metal * 9 * np.cos(2 * (np.arctan2(yy - cy, xx - cx) - rng.uniform(0, 0.5)))
    if defect in ("stain", "dent"):
        a, far = rng.uniform(0, 2 * np.pi), radius / _SCALE * rng.choice([0.38, 0.62, 0.82])
        spot_x, spot_y = cx + far * np.cos(a), cy + far * np.sin(a)
        wide, tall = rng.uniform(4, 9, 2) if defect == "stain" else (rng.uniform(5, 8),) * 2
        shape = np.exp(-(((xx - spot_x) / wide) ** 2 + ((yy - spot_y) / tall) ** 2))
        if defect == "stain":
            pixels = pixels - shape * rng.uniform(55, 95)
        else:
            pixels = pixels + shape * (xx - spot_x + yy - spot_y) * rng.uniform(9, 14)
    light_angle, light = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.12)
    across = ((xx - side / 2) * np.cos(light_angle) + (yy - side / 2) * np.sin(light_angle)) / side
    pixels = pixels * (1 + rng.normal(0, 0.04)) * (1 + light * across)
    colour = np.stack([pixels * 1.0, pixels * 1.005, pixels * 1.03], axis=-1)
    colour = colour + rng.normal(0, 3.0, (side, side, 1)) + rng.normal(0, 1.0, (side, side, 3))
    return np.clip(np.rint(colour), 0, 255).astype(np.uint8)


def draw_set(folder: Path, *, good_train: int = 300, good_test: int = 60, defects: int = 20, seed: int = 0) -> None:
    """Write `train/good`, `tonight` (good and defective mixed, names do not tell) and `labels.csv` (file, label)."""
    train, tonight = folder / "train" / "good", folder / "tonight"
    train.mkdir(parents=True, exist_ok=True)
    tonight.mkdir(parents=True, exist_ok=True)
    for i in range(good_train):
        _save(draw_part(np.random.default_rng([seed, 0, i])), train / f"flange-{i:04}.jpg")
    labels = ["good"] * good_test + [DEFECTS[i % len(DEFECTS)] for i in range(defects)]
    order = np.random.default_rng([seed, 1]).permutation(len(labels))
    rows = [("file", "label")]
    for place, i in enumerate(order):
        name = f"flange-{place:04}.jpg"
        rng = np.random.default_rng([seed, 2, int(i)])
        _save(draw_part(rng, None if labels[i] == "good" else labels[i]), tonight / name)
        rows.append((name, labels[i]))
    # Written last: where it is, the set is whole.
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)


def _save(pixels: np.ndarray, path: Path) -> None:
    Image.fromarray(pixels).save(path, quality=92)
