"""A whole job beside the limit of its parts: `python -m bench.inspection [--precisions float32,bfloat16,int8]`.

For pictures of 300 pixels and of 12 megapixels, JPEG, the default detector in each precision: the pictures a second of
a job from submitting to done, by the real commands, queue and SQL, with one worker process a core that has its model;
and the limit: one process, one core, alone, nothing but decoding and resizing a picture (`load`) and the network in
batches (`network`), times the cores; medians of rounds before and after the job, since a core is not as fast at every
moment. The share of the limit that a job reaches should be 0.9. `first` are the seconds of a core until a bundle is
ready in a process. `--runtime tensorflow` shows the other library. Takes some minutes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from bench.footprint import Footprint
from bench.long_run import oddlot
from db import jobs, models
from db.engine import open_database
from oddlot.processes import available_cores
from oddlot.settings import Settings, load_settings
from pictures.drawing import draw_set

KINDS = {"300 pixels": ((300, 300), 6000), "12 megapixels": ((4000, 3000), 2000)}
ROUNDS = 7
DIFFERENT = 64
"""Pictures that are drawn of each kind; a night holds them many times, as links."""


def draw(folder: Path) -> None:
    """`good` to learn from, and of each kind a few pictures and a night of them."""
    draw_set(folder / "drawn", good_train=160, good_test=DIFFERENT, defects=0, seed=3)
    rng = np.random.default_rng(4)
    (folder / "good").mkdir()
    for path in sorted((folder / "drawn" / "train" / "good").iterdir()):
        photograph(path, (300, 300), rng).save(folder / "good" / path.name, quality=90)
    drawn = sorted((folder / "drawn" / "tonight").iterdir())
    for kind, (size, count) in KINDS.items():
        (folder / kind).mkdir()
        (folder / f"{kind} once").mkdir()
        for number, path in enumerate(drawn):
            photograph(path, size, rng).save(folder / f"{kind} once" / f"{number:03}.jpg", quality=90)
        once = sorted((folder / f"{kind} once").iterdir())
        for number in range(count):
            (folder / kind / f"{number:05}.jpg").hardlink_to(once[number % len(once)])


def photograph(path: Path, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Of that size, in colour, with a sensor's noise: it costs a decoder time, too."""
    pixels = np.asarray(Image.open(path).convert("L").resize(size), np.int16)
    noisy = pixels + rng.integers(-2, 3, pixels.shape, np.int16)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).convert("RGB")


def limit(bundle: str, sha256: str, folder: str, runtime: str) -> None:
    """Seconds a picture of `load` and `network` on one core in each round, as JSON: in a process of its own."""
    from ganomaly.bundle import open_bundle
    from oddlot.words import Runtime
    from pictures.decoding import decode
    from pictures.preprocessing import Preprocessing
    from pictures.reading import preprocess

    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
    began = time.process_time()
    opened = open_bundle(Path(bundle), sha256, runtime=Runtime(runtime), threads=1)
    start = time.process_time() - began
    preprocessing = Preprocessing.from_dict(opened.preprocessing)
    files = sorted(Path(folder).iterdir())

    def load() -> list[np.ndarray]:
        return [
            preprocess(decode(path.read_bytes(), max_pixels=10**9, target=preprocessing.whole_side), preprocessing)
            for path in files
        ]

    pixels = np.stack(load())
    opened.detector.score(pixels)
    took: dict[str, list[float]] = {"load": [], "network": []}
    for _ in range(ROUNDS):
        for name, act in (("load", load), ("network", lambda: opened.detector.score(pixels))):
            began = time.perf_counter()
            act()
            took[name].append((time.perf_counter() - began) / len(files))
    print(json.dumps(took | {"start": start}))


def run_job(settings: Settings, environ: dict[str, str], name: str, folder: Path) -> tuple[float, float]:
    """Pictures a second from submitting to done, and the share that was flagged."""
    subprocess.run(oddlot("submit", name, folder, "--wait"), env=environ, check=True, capture_output=True)
    engine = open_database(settings.database_url)
    row = jobs.list_jobs(engine, limit=1)[0]
    engine.dispose()
    if row.scored != row.listed or row.finished_at is None:
        sys.exit(f"{row.scored} of {row.listed} were scored")
    return row.listed / (row.finished_at - row.created_at).total_seconds(), row.flagged / row.listed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precisions", default="float32,bfloat16,int8")
    parser.add_argument("--runtime", default="auto")
    wish = parser.parse_args()
    cores = available_cores()
    with tempfile.TemporaryDirectory() as scratch:
        folder, home = Path(scratch), Path(scratch) / "home"
        draw(folder)
        variables = {
            "ODDLOT_HOME": str(home), "ODDLOT_SETTLE_SECONDS": "0", "ODDLOT_HOLD": "false",
            "ODDLOT_RUNTIME": wish.runtime,
        }  # fmt: skip
        environ = os.environ | variables
        settings = load_settings(environ)
        for precision in wish.precisions.split(","):
            fit = oddlot("fit", precision, folder / "good", "--precision", precision, "--epochs", 1, "--force")
            subprocess.run(fit, env=environ, check=True, capture_output=True)
        print(f"{cores} cores, {wish.runtime}; pictures a second")
        columns = "".join(f"{name:>9}" for name in ("load", "network", "limit", "job", "share", "flagged", "first, s"))
        print(f"{'pictures':<15}{'precision':<10}{columns}")
        for precision in wish.precisions.split(","):
            watched = Footprint()
            with watched, (folder / "worker.log").open("ab") as log:
                worker = subprocess.Popen(
                    oddlot("worker", "--concurrency", cores), env=watched.environ(**variables), stdout=log, stderr=log
                )
                try:
                    for kind in KINDS:
                        # Small batches, so that every process takes one and has loaded the model.
                        run_job(settings, environ | {"ODDLOT_BATCH_SIZE": "4"}, precision, folder / f"{kind} once")
                        rounds = [measure_limit(settings, precision, folder / f"{kind} once", wish.runtime)]
                        reached, flagged = run_job(settings, environ, precision, folder / kind)
                        rounds.append(measure_limit(settings, precision, folder / f"{kind} once", wish.runtime))
                        load, network = (
                            median(second for measured in rounds for second in measured[name])
                            for name in ("load", "network")
                        )
                        most = cores / (load + network)
                        cells = "".join(f"{figure:>9.1f}" for figure in (1 / load, 1 / network, most, reached))
                        share = f"{reached / most:>9.2f}{flagged:>9.2f}{rounds[0]['start']:>9.2f}"
                        print(f"{kind:<15}{precision:<10}{cells}{share}", flush=True)
                finally:
                    worker.terminate()
                    worker.wait()
            print(f"{'':<15}{precision:<10}worker with {cores} processes: {watched.shared_out:.0f} MB", flush=True)


def measure_limit(settings: Settings, name: str, folder: Path, runtime: str) -> dict[str, Any]:
    engine = open_database(settings.database_url)
    row = models.get_model(engine, name)
    engine.dispose()
    program = [sys.executable, "-m", "bench.inspection", "--limit"]
    arguments = [str(settings.model_store / row.bundle_uri), row.bundle_sha256, str(folder), runtime]
    told = subprocess.run([*program, *arguments], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["--limit"]:
        limit(*sys.argv[2:])
    else:
        main()
