"""The folder of a fit's intermediate files."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from oddlot.errors import OddlotError, TrainingError
from oddlot.settings import Settings

if TYPE_CHECKING:
    from trainer.fit import FitOptions

CHECKPOINTS = "checkpoint-*.npz"


@contextmanager
def scratch_folder(settings: Settings, options: "FitOptions") -> Iterator[Path]:
    """The folder of this fit's intermediate files: the same for the same options, so that a kill can be resumed.

    Removed when the fit is done, or refused before it has learnt anything. Raises TrainingError where the same fit is
    at work already.
    """
    digest = hashlib.sha256(json.dumps(asdict(options), sort_keys=True).encode()).hexdigest()[:12]
    scratch = settings.home / "fits" / f"{options.name}-{digest}"
    scratch.mkdir(parents=True, exist_ok=True)
    lock = os.open(scratch / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(f"the same fit of {options.name} is at work already: wait for it") from None
        try:
            yield scratch
        except OddlotError:
            if not any(scratch.glob(CHECKPOINTS)):  # what was learnt outlives a full disk
                shutil.rmtree(scratch, ignore_errors=True)
            raise
        shutil.rmtree(scratch, ignore_errors=True)
    finally:
        os.close(lock)
