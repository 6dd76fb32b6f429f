"""Oddlot beside anomalib's GANomaly and a naive worker, in one run: pictures a second and memory.

    make bench-peers        (or, with .venv-peers made: python -m bench.peers [--pictures 10000])

The same drawn parts, 64 x 64 pixels and in colour, the network of the paper for all. Training: pictures a second
between the end of the first epoch and that of the last. Prediction of a folder: anomalib's `Engine.predict` of a model
in memory, as it comes, and in batches without drawing; ours from `oddlot submit --wait` to its end, with the worker
running, through queue and SQL, also the whole of `oddlot inspect` with nothing running before; the naive worker a task
a picture. Memory is the peak of all processes together, what they share counted once. Linux only.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bench.footprint import Footprint
from bench.long_run import oddlot
from pictures.drawing import draw_part

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".venv-peers" / "bin" / "python"
SIZE, GOOD, EPOCHS = 64, 512, 3
FEW = 200
"""Pictures of the folder for those that take long for it."""
BASES = 200


@dataclass(frozen=True)
class Variant:
    """A way in which ours is run, with the options that `oddlot fit` and `oddlot submit` get for it."""

    name: str
    fit: tuple[str, ...] = ()
    submit: tuple[str, ...] = ()


VARIANTS = (
    Variant("float32"), Variant("bfloat16", ("--precision", "bfloat16")), Variant("int8", ("--precision", "int8")),
)  # fmt: skip
"""The first is what training and memory are compared with; of all, the fastest is named, too."""


@dataclass
class Figures:
    """Of one side: pictures a second in training and prediction; peak memory in MB of all its processes, what they
    share counted once (PSS), in training and in prediction, and of both with it counted in each (RSS)."""

    name: str
    trained: float = 0.0
    predicted: float = 0.0
    cold: float = 0.0
    fit_memory: float = 0.0
    night_memory: float = 0.0
    resident: float = 0.0


def draw(folder: Path, count: int, seed: int) -> None:
    """Colour pictures of a part, each a mixture of two drawn ones with noise of its own."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    bases = [draw_part(rng, side=SIZE).astype(np.float32) for _ in range(BASES)]
    for number in range(count):
        one, other = rng.integers(0, BASES, 2)
        share = rng.uniform(0.2, 0.8)
        mixed = share * bases[one] + (1 - share) * bases[other] + rng.normal(0, 2, (SIZE, SIZE, 3))
        Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8)).save(folder / f"{number:05}.png")


def anomalib(good: Path, night: Path, work: Path, name: str, *options: str) -> Figures:
    command = [PEERS, Path(__file__).with_name("anomalib_side.py"), "--good", good, "--night", night, "--work", work,
               "--size", SIZE, "--epochs", EPOCHS, *options]  # fmt: skip
    with Footprint() as footprint:
        told = ran(command, footprint.environ(PYTHONPATH=""))
    found = json.loads(told.splitlines()[-1])
    most = footprint.shared_out  # of the one process that does both
    return told_of(Figures(name, found["trained"], found["predicted"], 0, most, most, footprint.resident))


def told_of(figures: Figures) -> Figures:
    print(figures, flush=True)
    return figures


def ran(command: Sequence[object], environ: dict[str, str]) -> str:
    """Standard output; ends the program with the last words of a command that failed."""
    done = subprocess.run([str(part) for part in command], env=environ, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{command} failed with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def ours(good: Path, few: Path, night: Path, home: Path, variant: Variant) -> Figures:
    figures = Figures(f"oddlot, {variant.name}")
    settings = {"ODDLOT_HOME": str(home), "ODDLOT_SETTLE_SECONDS": "0", "ODDLOT_HOLD": "false"}
    with Footprint() as footprint:
        environ = footprint.environ(**settings)
        epochs = 1 if variant.fit else EPOCHS  # a precision is one of the scoring: all train alike
        command = oddlot("fit", "part", good, "--architecture", "paper", "--size", SIZE, "--epochs", epochs, "--force",
                         *variant.fit)  # fmt: skip
        figures.trained = fitted(command, environ)
    with Footprint() as scoring:
        environ = scoring.environ(**settings)
        began = time.monotonic()
        ran(oddlot("inspect", "part", night, "--json", *variant.submit), environ)
        count = sum(1 for _ in night.iterdir())
        figures.cold = count / (time.monotonic() - began)
        with (home / "worker.log").open("wb") as log:
            worker = subprocess.Popen(oddlot("worker"), env=environ, cwd=ROOT, stdout=log, stderr=log)
        try:
            # Small batches, so that every process takes one and has loaded the model.
            ran(oddlot("submit", "part", few, "--wait", *variant.submit), environ | {"ODDLOT_BATCH_SIZE": "8"})
            began = time.monotonic()
            ran(oddlot("submit", "part", night, "--wait", *variant.submit), environ)
            figures.predicted = count / (time.monotonic() - began)
        finally:
            worker.terminate()
            worker.wait()
    figures.resident = max(footprint.resident, scoring.resident)
    figures.fit_memory, figures.night_memory = footprint.shared_out, scoring.shared_out
    return told_of(figures)


def fitted(command: list[str], environ: dict[str, str]) -> float:
    """Pictures a second between the first epoch and the last."""
    moments, learnt, last = [], 0, ""
    process = subprocess.Popen(command, env=environ, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               text=True)  # fmt: skip
    assert process.stderr is not None
    for last in process.stderr:
        if found := re.match(r"training on (\d+) pictures", last):
            learnt = int(found[1])
        if last.startswith("epoch "):
            moments.append(time.monotonic())
    if process.wait() != 0:
        sys.exit(f"the fit failed: {last}")
    return learnt * (len(moments) - 1) / (moments[-1] - moments[0]) if len(moments) > 1 else 0.0


def naive(night: Path, work: Path) -> Figures:
    """Pictures a second of one task each, from the first message to the last result; the model is loaded before."""
    from worker.broker import server_binary

    work.mkdir()
    address = f"redis+socket://{work}/queue.sock"
    with Footprint() as footprint:
        environ = footprint.environ(NAIVE_BROKER=address)
        server = [str(server_binary()), "--port", "0", "--unixsocket", str(work / "queue.sock"), "--save", ""]
        started = [subprocess.Popen(server, env=environ, cwd=work, stdout=subprocess.DEVNULL)]
        worker = [sys.executable, "-m", "celery", "-A", "bench.peers.naive", "worker", "--pool", "solo", "-l", "ERROR"]
        started.append(
            subprocess.Popen(worker, env=environ, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        try:
            os.environ["NAIVE_BROKER"] = address
            while not (work / "queue.sock").exists():
                time.sleep(0.1)
            from bench.peers.naive import inspect

            paths = sorted(map(str, night.iterdir()))
            inspect.delay(paths[0]).get(timeout=120)
            began = time.monotonic()
            for sent in [inspect.delay(path) for path in paths]:
                sent.get(timeout=600)
            predicted = len(paths) / (time.monotonic() - began)
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait()
    return told_of(Figures("naive worker", 0, predicted, 0, 0, footprint.shared_out, footprint.resident))


def show(sides: list[Figures]) -> None:
    heads = ("trained/s", "folder/s", "cold/s", "fit, MB", "night, MB", "RSS, MB")
    print("\n" + f"{'':<34}" + "".join(f"{head:>12}" for head in heads))
    for one in sides:
        values = (one.trained, one.predicted, one.cold, one.fit_memory, one.night_memory, one.resident)
        print(f"{one.name:<34}" + "".join(f"{value:>12.0f}" if value else f"{'-':>12}" for value in values))


def judge(peer: Figures, own: list[Figures], simple: Figures) -> None:
    first, fastest = own[0], max(own, key=lambda one: one.predicted)
    print(f"\n{'':<52}{'ratio':>8}{'aim':>8}")
    for words, ratio, aim in (
        (f"folder prediction, {first.name}", first.predicted / peer.predicted, 3.0),
        (f"folder prediction, the fastest: {fastest.name}", fastest.predicted / peer.predicted, 5.0),
        ("training", first.trained / peer.trained, 1.5),
        ("folder prediction beside the naive worker", fastest.predicted / simple.predicted, 20.0),
    ):
        print(f"{words:<52}{ratio:>8.2f}{aim:>8.2f}{'' if ratio >= aim else '  missed'}")
    for words, ratio in (
        ("memory of a fit, less is better", first.fit_memory / peer.fit_memory),
        ("memory of a night, less is better", first.night_memory / peer.night_memory),
    ):
        print(f"{words:<52}{ratio:>8.2f}{1 / 3:>8.2f}{'' if ratio <= 1 / 3 else '  missed'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", default=",".join(one.name for one in VARIANTS))
    parser.add_argument("--pictures", type=int, default=10_000, help="in the folder that is predicted")
    wish = parser.parse_args()
    if not PEERS.exists():
        sys.exit("there is no .venv-peers: `make bench-peers` makes it")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        good, night = folder / "data" / "good", folder / "night"
        draw(good, GOOD, 0)
        draw(night, wish.pictures, 1)
        few = folder / "few"
        draw(few, FEW, 2)
        own = [
            ours(good, few, night, folder / f"home-{variant.name}", variant)
            for variant in VARIANTS
            if variant.name in wish.variants.split(",")
        ]
        peer = anomalib(good, few, folder / "anomalib", "anomalib, its defaults")  # it draws each: 20 a second
        tuned = anomalib(good, night, folder / "tuned", "anomalib, tuned", "--batch", "64",
                         "--readers", "2", "--batched")  # fmt: skip
        simple = naive(few, folder / "naive")
        show([*own, peer, tuned, simple])
        print("\nBeside anomalib with its defaults:")
        judge(peer, own, simple)
        print("\nBeside anomalib, tuned (batches of 64, 2 readers; predicted in batches of 32, nothing drawn):")
        judge(tuned, own, simple)


if __name__ == "__main__":
    main()
