"""Our training step beside the same step in plain TensorFlow and in PyTorch, and how long it waits for its input.

    python -m bench.training_limit [--rounds 5]        (PyTorch where `make bench-peers` has made .venv-peers)

The networks of the paper and of the article at 64 pixels with batches of 64 and 32, and the finest scale of the default
`features` member at 256 pixels with batches of 8; float32, all cores. *Ours* are the steps of a whole epoch as a fit
has it, their losses collected; the others step on one batch that stands in memory. Plain TensorFlow and PyTorch pass
the generator once for both updates, as we do; the loop of the article (`bench.seed_loop`) twice. They take turns, and
the medians are compared. *Waits* is the share of our time in which the next batch is made while no step runs. Before an
epoch of `features` it is measured how badly each place is given back now, to draw the bad ones more often: that is a
part of the method, a pass of all maps through the generator, and told by itself.
"""

import argparse
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np

from oddlot.processes import available_cores

ROOT = Path(__file__).parents[1]
PEERS = ROOT / ".venv-peers" / "bin" / "python"
AIM = 0.95
PLAIN, TORCH, SEED = "plain TensorFlow", "PyTorch, channels-last", "loop of the article, traced"
LIMITS = (PLAIN, TORCH)
SEED_AIM = 1.5
STEPS = {"paper": 5, "article": 10, "features": 10}
"""Steps a round."""


class Torch:
    """The step of `bench.peers.torch_step` in a process of its own: a context, called for the seconds of some steps."""

    def __init__(self, what: str, batch: int, size: int, channels: int) -> None:
        script = ROOT / "bench" / "peers" / "torch_step.py"
        command = [PEERS, script, what, *map(str, (batch, size, channels))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._said() == "ready"

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __enter__(self) -> "Torch":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.communicate()

    def __call__(self, steps: int) -> float:
        assert self._process.stdin is not None
        print(steps, file=self._process.stdin, flush=True)
        return float(self._said())


class Ours:
    """The epochs of a training, without what is held out."""

    def __init__(self, config, shown: np.ndarray) -> None:
        from ganomaly.gan import GANomaly
        from ganomaly.room import Room
        from ganomaly.training import _Scale

        self._scale = _Scale(GANomaly(config), shown, shown[:1], Room())
        self._config, self._shown, self._epoch = config, shown, 0
        self.mined = self.waited = self.stepped = 0.0

    def __call__(self, steps: int) -> float:
        self._epoch += 1
        began = time.perf_counter()
        before = self.mined + self.waited
        self._scale.learn(self._timed(self._scale.batches(steps, self._config.batch_size, 0, self._epoch)))
        stepped = time.perf_counter() - began - (self.mined + self.waited - before)
        self.stepped += stepped
        return stepped

    def _timed(self, batches: Iterator) -> Iterator:
        began = time.perf_counter()
        batch = next(batches)
        taken = time.perf_counter() - began
        if self._config.memory:
            self.mined += taken
        else:
            self.waited += taken
        while batch is not None:
            yield batch
            began = time.perf_counter()
            batch = next(batches, None)
            self.waited += time.perf_counter() - began


def plain(step: Callable, batch) -> Callable[[int], float]:
    def run(steps: int) -> float:
        began = time.perf_counter()
        for _ in range(steps):
            float(step(batch))
        return time.perf_counter() - began

    return run


def measure(what: str, rounds: int) -> None:
    import tensorflow as tf

    from bench import plain_step
    from bench.seed_loop import seed_step
    from ganomaly.config import config_for

    steps = STEPS[what]
    rng = np.random.default_rng(0)
    config = config_for(what, None, 1)
    if what == "features":
        config = replace(config, memory=config.memory[:1])
        shown = rng.normal(size=(steps * config.batch_size, 16, 16, 112)).astype(np.float32)
    else:
        shown = rng.integers(0, 256, (steps * config.batch_size, 64, 64, 1), dtype=np.uint8)
    batch = tf.constant(shown[: config.batch_size])
    sides: dict[str, Callable[[int], float]] = {"ours": Ours(config, shown)}
    if what == "paper":
        sides[PLAIN] = plain(plain_step.paper_step(config), batch)
    if what == "features":
        sides[PLAIN] = plain(plain_step.features_step(config, 16, 112), batch)
    else:
        sides[SEED] = plain(tf.function(seed_step(config)), batch)
        sides["the same, not traced"] = plain(seed_step(config), batch)
    pictures = config.batch_size
    seconds: dict[str, list[float]] = {}
    if PEERS.exists() and what != "article":
        shape = (pictures, *((64, 1) if what == "paper" else (16, 112)))
        sides[TORCH] = Torch(what, *shape)
    for run in sides.values():  # traced, and its caches warm
        run(steps)
    own = sides["ours"]
    assert isinstance(own, Ours)
    own.mined = own.waited = own.stepped = 0.0
    for _ in range(rounds):
        for name, run in sides.items():
            seconds.setdefault(name, []).append(run(steps))
    if isinstance(torch := sides.get(TORCH), Torch):
        with torch:
            pass
    speeds = {name: steps * pictures / statistics.median(taken) for name, taken in seconds.items()}
    best = max((speed for name, speed in speeds.items() if name in LIMITS), default=0.0)
    for name, speed in speeds.items():
        ratio = speeds["ours"] / speed
        missed = (speed == best and ratio < AIM) or (name == SEED and ratio < SEED_AIM)
        verdict = "" if name == "ours" else f"{ratio:>12.2f}{'  missed' if missed else ''}"
        print(f"{what:<10}{name:<30}{speed:>12.1f}{verdict}")
    whole = own.mined + own.waited + own.stepped
    print(f"{what:<10}waits for its input: {own.waited / whole:.1%} of the time", flush=True)
    if own.mined:
        print(f"{what:<10}looks for places that are given back badly: {own.mined / whole:.1%} of the time", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=tuple(STEPS), action="append")
    wish = parser.parse_args()
    from ganomaly.starting import start_tensorflow

    start_tensorflow(available_cores())
    if not PEERS.exists():
        print("PyTorch is left out: there is no .venv-peers; `make bench-peers` makes it")
    print(f"{'':<40}{'pictures/s':>12}{'ours / it':>12}", flush=True)
    for what in wish.only or STEPS:
        measure(what, wish.rounds)
    print(f"aims: {AIM} of the faster of plain TensorFlow and PyTorch, {SEED_AIM} of the loop of the article, traced")


if __name__ == "__main__":
    main()
