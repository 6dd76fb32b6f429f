"""How often good nights are held, and which changed scenes are: what the limits of `db.bounds` were chosen by.

    python -m bench.held_nights [--sets magnetic_tile,elpv_mono,drawn] [--splits 30] [--fit]

A set is a folder of ODDLOT_DATA with `train/good`, `test/good` and other folders of odd pictures in `test`; `drawn` are
the parts of the demo. In each of `--splits` random halvings of the good pictures, one half is what a model knows, and
nights are drawn from the other: at random, or in a row by file name, which in magnetic tiles means few exposures. Then
the same nights are changed. Without `--fit` the p-values are drawn as the conformal ones of good pictures are, from 100
calibration scores; with it a model is fitted on `train/good` once (minutes), and the nights, from `test/good`, have its
scores and its own reference. The rows of real defects use labels, to check and not to choose.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from bench.quality import image_sets, use_all_cores
from db.bounds import Night, judge_night
from oddlot.appearance import APPEARANCE, NEAREST, STATISTICS, Reference, read_reference
from pictures.appearance import Appearance, appearance
from pictures.decoding import Decoded, decode, read_bytes
from pictures.drawing import draw_set
from pictures.preprocessing import Preprocessing
from pictures.reading import preprocess
from trainer.appearance import reference_of
from trainer.training_set import TrainingSet
from worker.company import Company

SIZE = 160
CALIBRATION = 100
SIZES = (10, 30, 100)
RATE = 0.01

Change = Callable[[Image.Image], Image.Image]


def shifted(picture: Image.Image, share: float) -> Image.Image:
    """Moved by that share of its sides; what comes in at the edge is what was there."""
    pixels = np.asarray(picture)
    down, right = int(picture.height * share), int(picture.width * share)
    widths = [(down, 0), (right, 0)] + [(0, 0)] * (pixels.ndim - 2)
    return Image.fromarray(np.pad(pixels, widths, mode="edge")[: picture.height, : picture.width])


CHANGES: dict[str, Change] = {
    "good": lambda p: p,
    "light 0.7": lambda p: p.point(lambda v: v * 0.7),
    "light 0.5": lambda p: p.point(lambda v: v * 0.5),
    "light 1.4": lambda p: p.point(lambda v: v * 1.4),
    "blur 2": lambda p: p.filter(ImageFilter.GaussianBlur(2)),
    "blur 4": lambda p: p.filter(ImageFilter.GaussianBlur(4)),
    "moved 10 %": lambda p: shifted(p, 0.1),
    "moved 25 %": lambda p: shifted(p, 0.25),
    "turned 90": lambda p: p.rotate(90, expand=True),
    "half size": lambda p: p.resize((p.width // 2, p.height // 2)),
}


@dataclass(frozen=True)
class Seen:
    """Pictures of one kind: how each looks, and as the model gets it, None where no model looks."""

    looks: list[Appearance]
    pixels: np.ndarray | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default="magnetic_tile,elpv_mono,drawn")
    parser.add_argument("--splits", type=int, default=30)
    parser.add_argument("--fit", action="store_true")
    arguments = parser.parse_args()
    use_all_cores()
    with TemporaryDirectory() as scratch:
        folders = {name: _folder(name, Path(scratch)) for name in arguments.sets.split(",")}
        for name, folder in folders.items():
            others = [path for other, found in folders.items() if other != name for path in good(found)[:100]]
            if arguments.fit:
                fitted(name, folder, others, Path(scratch))
            else:
                split(name, folder, others, arguments.splits)


def _folder(name: str, scratch: Path) -> Path:
    if name != "drawn":
        return image_sets("bench.held_nights") / name
    draw_set(scratch / "set", good_train=300, good_test=150, defects=100)
    labels = dict(line.split(",") for line in (scratch / "set" / "labels.csv").read_text().splitlines()[1:])
    for file, label in labels.items():
        target = scratch / "set" / "test" / label / file
        target.parent.mkdir(parents=True, exist_ok=True)
        (scratch / "set" / "tonight" / file).rename(target)
    return scratch / "set"


def good(folder: Path) -> list[Path]:
    return sorted((*(folder / "train" / "good").iterdir(), *(folder / "test" / "good").iterdir()))


def odd(folder: Path) -> list[Path]:
    return sorted(p for kind in (folder / "test").iterdir() if kind.name != "good" for p in kind.iterdir())


def split(name: str, folder: Path, others: Sequence[Path], splits: int) -> None:
    """Halvings of the good pictures; scores as those of good pictures are."""
    preprocessing = Preprocessing(SIZE, 3 if name == "drawn" else 1)
    began = time.perf_counter()
    pools = {change: see(good(folder), preprocessing, made) for change, made in CHANGES.items()}
    count = len(pools["good"].looks)
    print(f"\n{name}: {count} good pictures; decoded, changed and measured in "
          f"{1000 * (time.perf_counter() - began) / count / len(CHANGES):.1f} ms each; look alone "
          f"{time_of_look(good(folder)[:100], preprocessing):.2f} ms")  # fmt: skip
    rng = np.random.default_rng(0)
    other, defects = see(others, preprocessing), see(odd(folder), preprocessing)
    rows: dict[str, Counter[str]] = {}
    for _ in range(splits):
        known = np.zeros(count, bool)
        known[rng.permutation(count)[: count // 2]] = True
        looks = [pools["good"].looks[i] for i in np.flatnonzero(known)]
        names = [str(i) for i in range(len(looks))]
        reference = reference_of(TrainingSet(np.empty(0), names, [], "", [], appearances=looks))
        for kind, nights in nights_of(pools, other, defects, np.flatnonzero(~known), rng):
            size = len(nights)
            calibration = np.sort(rng.random(CALIBRATION))
            p_values = (1 + CALIBRATION - np.searchsorted(calibration, rng.random(size))) / (CALIBRATION + 1)
            note_down(rows, kind, size, nights, reference, p_values, CALIBRATION)
    show(rows)


def fitted(name: str, folder: Path, others: Sequence[Path], scratch: Path) -> None:
    """One fit on `train/good`; nights from `test/good`, with its scores."""
    from db.engine import open_database
    from ganomaly.bundle import open_bundle
    from oddlot.settings import load_settings
    from trainer.fit import FitOptions, fit

    settings = load_settings({"ODDLOT_HOME": str(scratch / "home"), "ODDLOT_SETTLE_SECONDS": "0"})
    engine = open_database(settings.database_url)
    options = FitOptions(name=name, good_dir=str(folder / "train" / "good"), size=SIZE, force=True)
    model = fit(engine, settings, options, threads=2).model
    bundle = open_bundle(settings.model_store / model.bundle_uri)
    preprocessing = Preprocessing.from_dict(bundle.preprocessing)
    reference = read_reference({APPEARANCE: model.card[APPEARANCE]})
    assert reference is not None
    paths = sorted((folder / "test" / "good").iterdir())
    pools = {change: see(paths, preprocessing, made, keep=True) for change, made in CHANGES.items()}
    other, defects = (see(found, preprocessing, keep=True) for found in (others, odd(folder)))
    scores = {id(look): p_value
              for seen in (*pools.values(), other, defects)
              for look, p_value in zip(seen.looks, bundle.calibration.p_values(
                  bundle.detector.score(seen.pixels, maps=False).raw), strict=True)}  # fmt: skip
    print(f"\n{name}: fitted, {bundle.calibration.n} calibrated; nights of {len(paths)} other good pictures")
    rng = np.random.default_rng(0)
    rows: dict[str, Counter[str]] = {}
    for _ in range(30):
        for kind, nights in nights_of(pools, other, defects, np.arange(len(paths)), rng):
            p_values = np.array([scores[id(look)] for look in nights])
            note_down(rows, kind, len(nights), nights, reference, p_values, bundle.calibration.n)
    show(rows)


def see(
    paths: Sequence[Path], preprocessing: Preprocessing, change: Change = lambda p: p, *, keep: bool = False
) -> Seen:
    looks, kept = [], []
    for path in paths:
        decoded = decode(read_bytes(str(path), max_file_bytes=10**9)[0], max_pixels=10**9)
        pixels = np.asarray(change(Image.fromarray(decoded.pixels)))
        made = Decoded(pixels, decoded.full_scale, pixels.shape[1], pixels.shape[0], None)
        ready = preprocess(made, preprocessing)
        looks.append(appearance(ready, made, preprocessing.mask))
        kept += [ready] if keep else []
    return Seen(looks, np.stack(kept) if keep else None)


def time_of_look(paths: Sequence[Path], preprocessing: Preprocessing) -> float:
    """Milliseconds that the look adds to the reading of one picture."""
    decoded = [decode(read_bytes(str(path), max_file_bytes=10**9)[0], max_pixels=10**9) for path in paths]
    ready = [preprocess(one, preprocessing) for one in decoded]
    company = Company({})
    began = time.perf_counter()
    for one, pixels in zip(decoded, ready, strict=True):
        company.figures(appearance(pixels, one, preprocessing.mask))
    return 1000 * (time.perf_counter() - began) / len(paths)


def nights_of(
    pools: dict[str, Seen], other: Seen, defects: Seen, fresh: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[str, list[Appearance]]]:
    """Nights of several sizes from the pictures with the numbers `fresh`, which are sorted by name."""
    looks = {kind: pool.looks for kind, pool in pools.items()}
    for size in (size for size in SIZES if size <= len(fresh)):
        chosen = np.sort(rng.choice(fresh, size, replace=False))
        begin = int(rng.integers(len(fresh) - size + 1))
        yield "good, in a row", [looks["good"][i] for i in fresh[begin : begin + size]]
        for kind, pool in looks.items():
            yield kind, [pool[i] for i in chosen]
        late = int(0.6 * size)
        yield (
            "light 0.3 for 40 %",
            [looks["good"][i] if k < late else darker(looks["good"][i]) for k, i in enumerate(chosen)],
        )
        yield "frozen for 40 %", [looks["good"][i] for i in [*chosen[:late], *[chosen[late]] * (size - late)]]
        for share in (0.2, 0.4):
            bad = rng.choice(len(defects.looks), round(share * size), replace=False)
            mixed = [looks["good"][i] for i in chosen[len(bad) :]] + [defects.looks[i] for i in bad]
            yield f"{100 * share:.0f} % real defects", [mixed[i] for i in rng.permutation(size)]
        yield "other product", [other.looks[i] for i in rng.permutation(len(other.looks))[:size]]


def darker(look: Appearance) -> Appearance:
    values = vars(look) | {"brightness": 0.3 * look.brightness, "contrast": 0.3 * look.contrast}
    return Appearance(**values | {"thumbnail": 0.3 * look.thumbnail})


def note_down(
    rows: dict[str, Counter[str]], kind: str, size: int, looks: Sequence[Appearance], reference: Reference,
    p_values: np.ndarray, calibration: int,
) -> None:  # fmt: skip
    company = Company({APPEARANCE: reference.to_dict()})
    figures: list[dict[str, Any]] = [company.figures(look) for look in looks]
    columns = {name: np.array([f.get(name) or np.nan if f.get(name) is None else f[name] for f in figures], float)
               for name in (*STATISTICS, NEAREST)}  # fmt: skip
    distinct, counts = np.unique(p_values, return_counts=True)
    found = judge_night(
        Night(
            listed=size, scored=size, flagged=int((p_values <= RATE).sum()), unreadable=0, looks=columns,
            p_values=list(zip(distinct.tolist(), counts.tolist(), strict=True)), calibration=calibration,
            false_alarms=RATE,
        ),
        reference,
    )  # fmt: skip
    row = rows.setdefault(f"{kind:<20}{size:>5}", Counter())
    row["nights"] += 1
    row["held"] += bool(found.reasons)
    row.update({reason["what"] for reason in found.reasons})
    row["noted as bad"] += any(one["what"] == "flagged" for one in found.notes)


def show(rows: dict[str, Counter[str]]) -> None:
    print(f"{'night of':<20}{'size':>5}{'nights':>8}{'held':>7}   for")
    for kind, row in sorted(rows.items(), key=lambda pair: (not pair[0].startswith("good"), pair[0][:20])):
        reasons = ", ".join(
            f"{what} {count}" for what, count in row.most_common() if what not in ("nights", "held") and count
        )
        print(f"{kind}{row['nights']:>8}{row['held']:>7}   {reasons}", flush=True)


if __name__ == "__main__":
    main()
