"""One fit, from a folder of good pictures to a registered model; resumable after a kill."""

import math
import os
import platform
import re
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

import oddlot
from db import models
from db.models import ModelRow
from oddlot.appearance import APPEARANCE
from oddlot.devices import check_cards
from oddlot.errors import TrainingError
from oddlot.places import place_of
from oddlot.processes import memory_bytes
from oddlot.settings import Settings
from oddlot.words import ModelState, Runtime
from pictures.listing import FoundFile
from trainer import quality
from trainer.appearance import reference_of
from trainer.folding import choose_folds, split_or_fold
from trainer.from_verdicts import Judged, judged_pictures, record, warn_of_alarms
from trainer.grouping import check_group, join_groups, name_groups
from trainer.honesty import measure, warn_of_blindness
from trainer.learning import Learnt, Progress, Scoring, learn
from trainer.look import Look, check_look, choose_look
from trainer.near_duplicates import describe_copies, near_duplicates
from trainer.scratch import scratch_folder
from trainer.sessions import warn_of_sessions
from trainer.splitting import Split
from trainer.tiles import MOST_TO_LEARN, count_tiles
from trainer.training_set import TrainingSet, check_usable, find_good_pictures, read_pictures
from trainer.trivial import Trivial

if TYPE_CHECKING:
    from ganomaly.room import Room
    from ganomaly.training import EpochReport

GOLDEN_PICTURES = 4
"""Held-out good pictures that travel with the bundle and are scored again whenever it is loaded."""

SHARE_OF_MEMORY = 4
"""Without ODDLOT_FIT_MEGABYTES the pictures and features of a fit take up to one such part of the machine's memory."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class FitOptions:
    """What a user may choose about a fit; stored with `--queue` and on the card."""

    name: str
    good_dir: str
    defects_dir: str | None = None
    size: int | None = None
    architecture: str = "features"
    score: str | None = None
    false_alarms: float | None = None
    epochs: int | None = None
    minutes: float | None = None
    seed: int = 0
    group: str | None = None
    force: bool = False
    roi: str | None = None
    tiles: str | None = None
    folds: int | None = None
    from_verdicts: bool = False
    candidate: bool = False
    precision: str = "float32"


@dataclass
class FitReport:
    """What a fit leaves behind, for the screen. `reason` says why the model should be no more than a candidate; it is
    empty where nothing speaks against it."""

    model: ModelRow
    card: dict[str, Any]
    refused: list[tuple[str, str]] = field(default_factory=list)
    reason: str = ""


def why_not_active(report: FitReport) -> str | None:
    """One line, with what to do, where the model is only a candidate; None where it is active."""
    model = report.model
    if model.state != ModelState.CANDIDATE:
        return None
    if not report.reason:
        return (
            f"version {model.version} of {model.name} is a candidate, as was asked for: `oddlot models promote "
            f"{model.name} {model.version}` compares it with the active one and makes it active"
        )
    return (
        f"version {model.version} of {model.name} is a candidate, not active: {report.reason}. Give more or clearer "
        f"pictures of good parts or train longer; `oddlot models promote {model.name} {model.version}` makes it active "
        "all the same"
    )


class Silent:
    """A Progress that tells nobody."""

    def say(self, text: str) -> None: ...
    def reading(self, done: int, total: int) -> None: ...
    def epoch(self, report: "EpochReport") -> None: ...


def check_name(name: str) -> None:
    """Raises TrainingError for what cannot be the name of a model: it becomes the name of a folder, too."""
    if not _NAME.fullmatch(name):
        raise TrainingError(
            f"{name!r} cannot be the name of a model: use up to 64 letters (a to z), digits, '.', '_' and '-'"
        )


def check_options(options: FitOptions) -> None:
    """Refuse what cannot work before anything is read. Raises TrainingError."""
    from ganomaly.config import MOST_FOLDS, config_for
    from ganomaly.precision import PRECISIONS

    check_name(options.name)
    config_for(options.architecture, options.size, 1, options.score)
    check_look(options.roi, options.tiles)
    if options.false_alarms is not None and not 0 < options.false_alarms < 1:
        raise TrainingError(f"--false-alarms must lie between 0 and 1, not {options.false_alarms:g}")
    if options.epochs is not None and options.epochs < 1:
        raise TrainingError(f"--epochs must be at least 1, not {options.epochs}")
    if options.minutes is not None and not 0 < options.minutes < math.inf:
        raise TrainingError(f"--minutes must be a number above 0, not {options.minutes:g}")
    if options.folds is not None and not 1 <= options.folds <= MOST_FOLDS:
        raise TrainingError(f"--folds must lie between 1 and {MOST_FOLDS}, not {options.folds}")
    if options.precision not in PRECISIONS:
        raise TrainingError(f"--precision must be one of {', '.join(PRECISIONS)}, not {options.precision!r}")
    if options.seed < 0:
        raise TrainingError(f"--seed must be 0 or more, not {options.seed}")
    if options.group is not None:
        check_group(options.group)


def fit(
    engine: Engine, settings: Settings, options: FitOptions, *, threads: int, progress: Progress | None = None
) -> FitReport:
    """Fit a model and make it the active version of its name: a candidate only, where that was asked for, or where it
    is not better than scores that need no network, unless `options.force`.

    Killed and started again with the same options and pictures, it goes on after the last finished epoch. Raises
    TrainingError or CalibrationError where the pictures cannot support what was asked for.
    """
    from ganomaly.bundle_store import check_writable
    from ganomaly.runtime import check_precision
    from ganomaly.signing import load_trusted_signer

    progress = progress or Silent()
    check_options(options)
    check_writable(settings.model_store)  # and not after an hour of training
    check_cards(settings)
    check_precision(options.precision, Runtime(settings.runtime))  # of this machine, not of the one that asked
    load_trusted_signer(settings.signing_key, settings.trusted_keys)  # what it says is said before the training
    folder = place_of(options.good_dir)
    files = find_good_pictures(folder, settings)
    own = [file.path for file in files]
    judged = judged_pictures(engine, options.name, own) if options.from_verdicts else None
    files += judged.files if judged is not None else []
    names = _group_names(files, options)
    _parts(len(files), options, names)  # refuse a rate or groups before the pictures are read
    if options.defects_dir is not None:
        quality.check_folder(place_of(options.defects_dir))  # and not after an hour of training
    from ganomaly.room import Room

    most = settings.fit_megabytes * 10**6 or memory_bytes() // SHARE_OF_MEMORY
    with scratch_folder(settings, options) as scratch, Room(scratch, most, progress.say) as room:
        progress.say(f"reading {len(own)} pictures from {folder}")
        if judged is not None:
            progress.say(f"and {len(judged.files)} false alarms that were called good")
        look = choose_look(own, options, settings, progress.say)
        good = read_pictures(
            files, folder, look.preprocessing, settings, room,
            threads=threads, on_read=progress.reading, judged=judged,
        )  # fmt: skip
        check_usable(good, folder)
        return _fit_on(engine, settings, options, look, good, judged, scratch, room, threads, progress)


def _fit_on(
    engine: Engine, settings: Settings, options: FitOptions, look: Look, good: TrainingSet,
    judged: Judged | None, scratch: Path, room: "Room", threads: int, progress: Progress,
) -> FitReport:  # fmt: skip
    """Everything after the pictures are read: train, calibrate, write the bundle, register the model."""
    from ganomaly.starting import start_tensorflow

    start_tensorflow(threads, gpu=settings.runtime == Runtime.GPU)
    from ganomaly.bundle import write_bundle
    from ganomaly.bundle_store import new_bundle
    from ganomaly.calibration import CROSS, SPLIT, Calibration
    from ganomaly.heat import MAP_SCALE, map_scale
    from ganomaly.runtime import chosen
    from ganomaly.signing import load_signer

    preprocessing = look.preprocessing
    names = _group_names(good.files, options)
    copies = near_duplicates(good.pixels, good.hashes)
    parts = _parts(len(good.hashes), options, join_groups(names, copies, len(good.hashes)))
    progress.say(
        f"training on {len(parts[0].train)} pictures of {look.layout.canvas[1]}x{look.layout.canvas[0]}, "
        f"{'colour' if preprocessing.channels == 3 else 'gray'}; {len(parts[0].validation)} validate, "
        f"{len(parts[0].calibration)} calibrate"
        + (f"; so {len(parts)} times, until each of the {len(good.hashes)} has calibrated" if len(parts) > 1 else "")
    )
    learnt = learn(
        good, parts, look, scratch, progress, room,
        seed=options.seed, epochs=options.epochs, minutes=options.minutes,
        scoring=Scoring(options.precision, Runtime(settings.runtime), threads),
    )  # fmt: skip
    detector, scores = learnt.detector, learnt.scores
    calibration = Calibration.fit(scores.raw, options.false_alarms, method=SPLIT if len(parts) == 1 else CROSS)
    card = _card(options, look, good, parts, learnt, calibration.certificate(), chosen(Runtime(settings.runtime)))
    card[MAP_SCALE] = map_scale(scores.parts["residual"], calibration.false_alarms)
    folder = place_of(options.good_dir)
    card[APPEARANCE] = reference_of(good).to_dict()
    card["near_duplicates"] = describe_copies(copies, good.files, folder)
    card["warnings"] = warn_of_sessions(good.files, folder, names, learnt.calibration)
    if names is not None:
        card["pictures"]["groups"] = len(set(names))
    if judged is not None:
        card["from_verdicts"] = record(judged, [file.path for file in good.files], good.defects)
        card["warnings"] += warn_of_alarms(card["from_verdicts"]["added"], len(good.files))
    progress.say("measuring on synthetic defects what it sees")
    honesty = measure(
        lambda pictures: detector.score(pictures, maps=False).raw, calibration.flagged,
        Trivial.fit(good.pixels, parts[0].train, preprocessing.mask), good.pixels, learnt.calibration, scores.raw,
        seed=options.seed, inside=preprocessing.mask,
    )  # fmt: skip
    card["honesty"] = honesty.record
    card["warnings"] += warn_of_blindness(honesty.record)
    if options.defects_dir is not None:
        card["defects"] = quality.recall_on_defects(
            place_of(options.defects_dir), detector, calibration, preprocessing, settings
        )
    uri = f"{options.name}/{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.urandom(3).hex()}"
    with new_bundle(settings.model_store / uri, settings.home) as new:
        sha256 = write_bundle(
            new, detector=detector, calibration=calibration,
            preprocessing=preprocessing.to_dict(), card=card, sheet=honesty.sheet,
            golden=good.pixels[learnt.calibration[: preprocessing.at_once(GOLDEN_PICTURES)]],
            sign=load_signer(settings.signing_key),
        )  # fmt: skip
    model = models.register_model(
        engine, name=options.name, bundle_uri=uri, bundle_sha256=sha256, architecture=options.architecture,
        threshold=calibration.threshold, false_alarms=calibration.false_alarms, card=card,
        activate=not options.candidate and (options.force or not honesty.reason),
    )  # fmt: skip
    return FitReport(model, card, good.refused, honesty.reason)


def _parts(n: int, options: FitOptions, groups: list[str] | None) -> list[Split]:
    asked = options.folds
    if asked is None and options.architecture != "features":
        asked = 1  # they are there to be compared with, as published
    folds = choose_folds(n, options.false_alarms, asked)
    return split_or_fold(n, options.false_alarms, folds, options.seed, groups)


def _group_names(files: list[FoundFile], options: FitOptions) -> list[str] | None:
    if options.group is None:
        return None
    return name_groups([file.path for file in files], place_of(options.good_dir), options.group)


def _card(
    options: FitOptions, look: Look, good: TrainingSet, parts: list[Split], learnt: Learnt, certificate: str,
    runtime: Runtime,
) -> dict[str, Any]:  # fmt: skip
    card: dict[str, Any] = {
        "name": options.name,
        "fitted_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": asdict(options),
        "network": learnt.detector.config.to_dict(),
        "runtime": runtime,
        "preprocessing": look.preprocessing.to_dict(),
        "pictures": {
            "usable": len(good.hashes),
            "refused": len(good.refused),
            "size": list(look.usual or ()),
            "training": len(parts[0].train),
            "validation": len(parts[0].validation),
            "calibration": len(learnt.calibration),
            "fingerprint": good.fingerprint,
        },
        "certificate": certificate,
        "trainings": learnt.trainings,
        "versions": {
            "oddlot": oddlot.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("tensorflow", "keras", "numpy", "pillow")},
        },
    }
    if not look.layout.whole:
        card["pictures"]["tiles"] = count_tiles(
            len(parts[0].train), look.layout, look.preprocessing.mask, MOST_TO_LEARN
        )
    return card
