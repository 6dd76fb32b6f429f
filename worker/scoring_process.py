"""What one worker process keeps from batch to batch: its database engine and the models it has loaded."""

import os
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from db.engine import open_database
from oddlot.errors import BundleError, StoreError
from oddlot.places import Place
from oddlot.settings import Settings, load_settings
from oddlot.words import Runtime

if TYPE_CHECKING:
    from ganomaly.bundle import Bundle
    from pictures.preprocessing import Preprocessing

threads = 1
"""Threads that the network and the picture readers of one process may use; set by the parent before it forks."""

MODELS_KEPT = 4
"""Models that one process keeps loaded; the least recently used one goes first."""


@dataclass(frozen=True)
class Model:
    """A verified bundle, and how pictures are read for it."""

    bundle: "Bundle"
    preprocessing: "Preprocessing"


_models: OrderedDict[str, Model] = OrderedDict()


@cache
def settings() -> Settings:
    return load_settings()


def engine() -> Engine:
    """The engine of this very process: connections must not be shared across a fork."""
    return _engine_of(os.getpid())


@cache
def _engine_of(_pid: int) -> Engine:
    return open_database(settings().database_url)


def model(store: Place, uri: str, sha256: str) -> Model:
    """The bundle at `uri`, which is below `store` unless absolute: loaded, verified against `sha256` and kept.

    Raises BundleError, also for what has nothing to do with the bundle: no picture is at fault either way; StoreError
    where the object store in which it is does not answer.
    """
    if sha256 in _models:
        _models.move_to_end(sha256)
        return _models[sha256]
    path = store / uri
    try:
        loaded = _load(path, sha256)
    except (BundleError, StoreError):
        raise
    except Exception as error:  # no memory, a library that does not fit this machine
        raise BundleError(f"the model's bundle {path} cannot be loaded here: {one_line(error)}") from error
    _models[sha256] = loaded
    while len(_models) > MODELS_KEPT:
        _models.popitem(last=False)
    return loaded


def _load(path: Place, sha256: str) -> Model:
    from ganomaly.bundle import open_bundle
    from ganomaly.bundle_store import bundle_folder
    from ganomaly.signing import load_trusted_keys
    from pictures.preprocessing import Preprocessing

    trusted = load_trusted_keys(settings().trusted_keys)
    folder = bundle_folder(path, sha256, settings().home, signed=trusted is not None)
    if not folder.is_dir():
        raise BundleError(f"the model's bundle {path} is missing: restore the model store, then retry the job")
    bundle = open_bundle(folder, sha256, runtime=Runtime(settings().runtime), threads=threads, trusted=trusted)
    preprocessing = Preprocessing.from_dict(bundle.preprocessing)
    if preprocessing.shape != bundle.detector.picture_shape:
        raise BundleError(
            f"the bundle {path} is refused: preprocessing.json makes other pictures than its network takes"
        )
    return Model(bundle, preprocessing)


def one_line(error: BaseException) -> str:
    """An error's type and the first line of its text: the rest of it is SQL and parameters, or a traceback."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
