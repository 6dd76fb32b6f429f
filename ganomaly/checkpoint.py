"""A training's state on disk, written after each epoch, whole or not at all."""

import json
import os
from pathlib import Path
from typing import Protocol

import numpy as np


class State(Protocol):
    """What is kept of a training."""

    history: list[dict[str, float]]
    best_epoch: int
    best_value: float
    seconds: float

    def arrays(self) -> dict[str, np.ndarray]: ...
    def set_arrays(self, arrays: dict[str, np.ndarray]) -> None: ...


def save_checkpoint(path: Path, fingerprint: str, state: State) -> None:
    """Write under a temporary name, then rename: a kill leaves the old checkpoint or the new one."""
    about = {
        "fingerprint": fingerprint, "history": state.history, "best_epoch": state.best_epoch,
        "best_value": state.best_value, "seconds": state.seconds,
    }  # fmt: skip
    partial = path.with_suffix(".partial")
    with partial.open("wb") as stream:
        np.savez(stream, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **state.arrays())
        stream.flush()
        os.fsync(stream.fileno())
    partial.rename(path)


def load_checkpoint(path: Path, fingerprint: str, state: State) -> bool:
    """Take up a training where it was; False, with nothing changed, where there is none of this fingerprint."""
    if not path.exists():
        return False
    with np.load(path, allow_pickle=False) as stored:
        about = json.loads(stored["about"].tobytes())
        if about["fingerprint"] != fingerprint:
            return False
        state.set_arrays({name: stored[name] for name in stored.files if name != "about"})
    state.history, state.best_epoch = about["history"], about["best_epoch"]
    state.best_value, state.seconds = about["best_value"], about["seconds"]
    return True
