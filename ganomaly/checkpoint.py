"""A training's state on disk, written after each epoch, whole or not at all."""

import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ganomaly.arrays import ZIP_ERRORS
from oddlot.errors import TrainingError


class State(Protocol):
    """What is kept of a training. `set_arrays` raises ValueError, with nothing changed, for arrays of another one."""

    history: list[dict[str, float]]
    best_epoch: int
    best_value: float
    seconds: float

    def arrays(self) -> dict[str, np.ndarray]: ...
    def set_arrays(self, arrays: dict[str, np.ndarray]) -> None: ...


def save_checkpoint(path: Path, fingerprint: str, state: State) -> None:
    """Write under a temporary name, then rename: a kill leaves the old checkpoint or the new one.

    Raises TrainingError where it cannot be written; the old checkpoint is still there then.
    """
    about = {
        "fingerprint": fingerprint, "history": state.history, "best_epoch": state.best_epoch,
        "best_value": state.best_value, "seconds": state.seconds,
    }  # fmt: skip
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as stream:
            encoded = np.frombuffer(json.dumps(about).encode(), np.uint8)
            np.savez(stream, allow_pickle=False, about=encoded, **state.arrays())
            stream.flush()
            os.fsync(stream.fileno())
        partial.rename(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise TrainingError(f"the state of the training cannot be kept in {path}: {error.strerror}") from error


def load_checkpoint(path: Path, fingerprint: str, state: State) -> bool:
    """Take up a training where it was; False, with nothing changed, where there is no checkpoint to go on from.

    One that is damaged, or of another fingerprint or network, is none: the training begins anew and writes over it.
    """
    try:
        about, arrays = _read(path)
        if about["fingerprint"] != fingerprint:
            return False
        history, best_epoch = about["history"], about["best_epoch"]
        best_value, seconds = about["best_value"], about["seconds"]
        state.set_arrays(arrays)
    except (*ZIP_ERRORS, OSError, KeyError, TypeError, zlib.error):
        return False
    state.history, state.best_epoch, state.best_value, state.seconds = history, best_epoch, best_value, seconds
    return True


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    # Every checksum before NumPy parses a byte: it would believe whatever shape a damaged header claims.
    with zipfile.ZipFile(path) as archive:
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"{damaged} is damaged")
    with np.load(path, allow_pickle=False) as stored:
        return json.loads(bytes(stored["about"])), {name: stored[name] for name in stored.files if name != "about"}
