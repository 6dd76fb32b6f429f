"""What one worker process keeps from batch to batch: its database engine and the models it has loaded."""

import os
from collections import OrderedDict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from db.engine import open_database
from sqlalchemy import Engine

from oddlot.errors import BundleError
from oddlot.settings import Settings, load_settings

if TYPE_CHECKING:
    from ganomaly.bundle import Bundle

threads = 1
"""Threads that TensorFlow and the picture readers of one process may use; set by the parent before it forks."""

MODELS_KEPT = 4
"""Models that one process keeps loaded; the least recently used one goes first."""

_models: "OrderedDict[str, Bundle]" = OrderedDict()


@cache
def settings() -> Settings:
    return load_settings()


def engine() -> Engine:
    """The engine of this very process: connections must not be shared across a fork."""
    return _engine_of(os.getpid())


@cache
def _engine_of(_pid: int) -> Engine:
    return open_database(settings().database_url)


def model(uri: str, sha256: str) -> "Bundle":
    """The bundle at `uri`, loaded, verified against `sha256` and kept. Raises BundleError."""
    if sha256 in _models:
        _models.move_to_end(sha256)
        return _models[sha256]
    from ganomaly.bundle import open_bundle
    from ganomaly.threads import set_threads

    set_threads(threads)
    path = Path(uri)
    if not path.is_absolute():
        path = settings().model_store / path
    if not path.is_dir():
        raise BundleError(f"the model's bundle {path} is missing: restore the model store, then retry the job")
    loaded = open_bundle(path, sha256)
    _models[sha256] = loaded
    while len(_models) > MODELS_KEPT:
        _models.popitem(last=False)
    return loaded
