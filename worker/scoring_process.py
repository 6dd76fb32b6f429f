"""What one worker process keeps from batch to batch: its database engine and the models it has loaded."""

import os
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Engine

from db.choosing import Loaded
from db.engine import open_database
from oddlot.errors import BundleError, StoreError
from oddlot.places import Place
from oddlot.settings import Settings, load_settings
from oddlot.words import Runtime
from worker import memory

if TYPE_CHECKING:
    from ganomaly.bundle import Bundle
    from ganomaly.signing import TrustedKeys
    from pictures.preprocessing import Preprocessing

log = structlog.get_logger()

threads = 1
"""Threads that the network and the picture readers of one process may use; set by the parent before it forks."""
tries_in_vain = 0
"""How often in succession this process could not load a model, or not use it."""
processes = 0
"""Processes that share the memory of this machine, this one included; set by the parent, 0 where it was not."""


@dataclass(frozen=True)
class Model:
    """A verified bundle, and how pictures are read for it."""

    bundle: "Bundle"
    preprocessing: "Preprocessing"


_models: OrderedDict[str, Model] = OrderedDict()
_growth: list[int] = []
"""Bytes by which this process grew with each load but its first, which brings the libraries, too."""


def loaded(turns: int) -> Loaded:
    """What this process has loaded, for the claim of a batch; so many `turns` of others may be passed over for it."""
    return Loaded(tuple(_models), turns)


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

    What was used least recently goes first where there are too many, or they take too much memory. A bundle whose files
    are changed later has another hash, and is another one.

    Raises BundleError, also for what has nothing to do with the bundle: no picture is at fault either way; StoreError
    where the object store in which it is does not answer.
    """
    from ganomaly.bundle_store import bundle_folder
    from ganomaly.signing import load_trusted_keys

    if sha256 in _models:
        _models.move_to_end(sha256)
        return _models[sha256]
    path = store / uri
    try:
        trusted = load_trusted_keys(settings().trusted_keys)
        folder = bundle_folder(path, sha256, settings().home, trusted=trusted)
        if not folder.is_dir():  # nothing is dropped for a model that cannot come
            raise BundleError(f"the model's bundle {path} is missing: restore the model store, then retry the job")
        _drop(0, ahead=max(_growth, default=0))
        before = memory.resident_bytes()
        made = _load(folder, sha256, trusted)
    except (BundleError, StoreError):
        raise
    except Exception as error:  # no memory, a library that does not fit this machine
        raise BundleError(f"the model's bundle {path} cannot be loaded here: {one_line(error)}") from error
    if _models:
        _growth.append(memory.resident_bytes() - before)
    _models[sha256] = made
    _drop(1)
    return made


def _drop(least: int, ahead: int = 0) -> None:
    """Forget models until there is room for one that takes so many bytes `ahead`, but for `least` of them."""
    bound, most = memory.bound_bytes(settings(), processes), settings().warm_models - (1 - least)
    while len(_models) > least:
        resident = memory.resident_bytes()
        if len(_models) <= most and resident + ahead <= bound:
            break
        sha256, _ = _models.popitem(last=False)
        memory.give_back()
        log.info(
            "model dropped", bundle=sha256[:12], kept=len(_models), megabytes=resident >> 20,
            megabytes_after=memory.resident_bytes() >> 20,
        )  # fmt: skip


def _load(folder: Path, sha256: str, trusted: "TrustedKeys | None") -> Model:
    from ganomaly.bundle import open_bundle
    from pictures.preprocessing import Preprocessing

    bundle = open_bundle(folder, sha256, runtime=Runtime(settings().runtime), threads=threads, trusted=trusted)
    preprocessing = Preprocessing.from_dict(bundle.preprocessing)
    if preprocessing.shape != bundle.detector.picture_shape:
        raise BundleError(
            f"the bundle {folder} is refused: preprocessing.json makes other pictures than its network takes"
        )
    return Model(bundle, preprocessing)


def one_line(error: BaseException) -> str:
    """An error's type and the first line of its text: the rest of it is SQL and parameters, or a traceback."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
