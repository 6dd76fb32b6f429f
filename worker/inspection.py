"""One batch, from claim to results: read, score, write; at least once executed, exactly once recorded."""

import contextlib
import os
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

import oddlot
from db import batches, endings, models, splitting, workers
from oddlot.errors import BundleError, LateResult, StoreError, UnreadablePicture
from oddlot.leases import kept_lease
from oddlot.processes import identity
from oddlot.settings import Settings
from oddlot.words import ItemState, Runtime
from pictures.heatmap import pack_heat
from pictures.reading import Picture
from worker import hanging, pausing, scoring_process
from worker.audit import AuditDraw
from worker.company import Company
from worker.map_store import MapWriter
from worker.reading_ahead import read_ahead
from worker.stages import Stages

if TYPE_CHECKING:
    from ganomaly.bundle import Bundle
    from ganomaly.scoring import Scores

log = structlog.get_logger()

DATABASE_AWAY = (OperationalError, InterfaceError)
"""What SQLAlchemy raises where a database does not answer, is full or is locked by others for too long."""

NOBODYS_FAULT = (*DATABASE_AWAY, StoreError)
"""After which an attempt does not count."""

LOAD_PAUSE = 20.0
"""Seconds that a process waits when it cannot use a model and others may: it would empty the queue in no time. Twice as
long after each further try in vain, so that one bad host or card of several uses up few attempts of a long night."""
LONGEST_PAUSE = 600.0

STORE_PAUSE = 5.0
"""Seconds that a process waits when the object store does not answer, before it takes the next batch."""

CHILD_SILENCE = 3600.0
"""Seconds without a finished batch after which a child is not shown any more: it may just have nothing to do."""


def inspect_batch(engine: Engine, settings: Settings, job_id: int, number: int) -> None:
    """Claim the batch, or one of a model that this process has loaded, inspect its items and record every one of them.

    Does nothing where the batch is not to be had: done, in somebody's hands, of a finished job, of a line that has its
    quota in work, or never made.
    A model that cannot be loaded fails the whole job, because no picture of it can be at fault: at once where this
    host is the only one, unless its processes have a card each, else when other attempts at the same batch, wherever
    they happened, have failed as well.

    Raises OperationalError or InterfaceError where the database does not answer when the batch is to be claimed.
    """
    owner = identity()
    loaded = scoring_process.loaded(settings.warm_turns)
    claim = batches.claim_batch(engine, job_id, number, owner, settings.lease_seconds, loaded)
    if claim is None:
        return
    job_id, number = claim.job_id, claim.number
    structlog.contextvars.bind_contextvars(job=job_id, batch=number)  # not of the message, where they differ
    started = time.monotonic()
    reading: hanging.Reading = {}
    stages = Stages()
    every_seconds = min(settings.lease_seconds, settings.picture_seconds) / 4
    done, pause = False, 0.0
    # Claimed before the model is loaded: a process that is killed by the loading has used up an attempt.
    with (
        hanging.ended_unless_called(settings.picture_seconds) as alive,
        kept_lease(lambda: _renewed(engine, settings, claim, reading, alive), every_seconds) as lost,
    ):
        try:
            row = models.get_model_by_id(engine, claim.model_id)
            with stages.stage("loading"):
                model = scoring_process.model(settings.model_store, row.bundle_uri, row.bundle_sha256)
            outcomes = list(_inspect_items(settings, claim, model, lost, reading, stages))
            finished = batches.finish_batch(
                engine, claim, outcomes, host=socket.gethostname(), code_version=oddlot.__version__,
                scored_on=model.bundle.detector.runs_on, hold=settings.hold, seconds=stages.seconds,
            )  # fmt: skip
            done, scoring_process.tries_in_vain = True, 0
        except LateResult as error:
            log.warning("late results refused", job=job_id, batch=number, error=str(error))
        except BundleError as error:
            if _nobody_else(settings) or claim.attempts >= settings.max_attempts:
                _fail_job(engine, claim, error)
            else:  # the store of this host alone may be at fault, or one card of several
                _give_back(engine, settings, claim, error)
                pause = min(LOAD_PAUSE * 2**scoring_process.tries_in_vain, LONGEST_PAUSE)
                scoring_process.tries_in_vain += 1
        except StoreError as error:
            _give_back(engine, settings, claim, error)
            pause = STORE_PAUSE
        except Exception as error:
            _give_back(engine, settings, claim, error)
    if not done:
        pausing.pause(pause)  # here nobody waits for a sign of life from this batch
        return
    seconds = time.monotonic() - started
    log.info(
        "batch done", job=job_id, batch=number, items=len(outcomes), seconds=round(seconds, 3),
        **{name: round(spent, 3) for name, spent in stages.seconds.items()},
    )  # fmt: skip
    if finished is not None:
        log.info("job finished", job=job_id, state=str(finished.state), scored=finished.scored)
    beat(engine, owner, progress=True)


def _nobody_else(settings: Settings) -> bool:
    """Whether what this process cannot load, no other can."""
    with_cards = settings.runtime == Runtime.GPU and scoring_process.processes > 1
    return settings.embedded_database and not with_cards


def beat(engine: Engine, owner: str, *, progress: bool) -> None:
    """A sign of life at the end of a batch, or of a part of another task: the watchdog takes a child that gives none
    for one that hangs."""
    with contextlib.suppress(SQLAlchemyError):  # what matters is recorded
        workers.beat(
            engine, owner, socket.gethostname(), os.getpid(), workers.CHILD, progress=progress,
            silent_seconds=CHILD_SILENCE,
        )  # fmt: skip


def _fail_job(engine: Engine, claim: batches.Claim, error: BundleError) -> None:
    log.error("job failed", job=claim.job_id, error=str(error))
    try:
        # Back among those that wait, because those are closed with the job.
        batches.release_batch(engine, claim, str(error), count_attempt=False)
        endings.fail_job(engine, claim.job_id, str(error))
    except SQLAlchemyError:
        log.exception("the job could not be failed: the next attempt at one of its batches does it", job=claim.job_id)


def _give_back(engine: Engine, settings: Settings, claim: batches.Claim, error: Exception) -> None:
    """Not the pictures' doing as far as we know: another attempt, and after some of them the batch is split.

    A database or an object store that does not answer is no picture's doing for sure: then the attempt does not count.
    Where memory ran out, the same batch would need as much again: it is halved at once.
    """
    traceback.clear_frames(error.__traceback__)  # they hold the picture for which memory ran out
    reason = scoring_process.one_line(error)
    # Where a store was asked says nothing about why it does not answer.
    told = {"error": reason} if isinstance(error, StoreError) else {"exc_info": error}
    log.error("batch given back", job=claim.job_id, batch=claim.number, **told)
    try:
        if isinstance(error, NOBODYS_FAULT):
            batches.release_batch(engine, claim, reason, count_attempt=False)
        else:
            splitting.fail_batch(
                engine, claim, reason, max_attempts=settings.max_attempts, hold=settings.hold,
                split=isinstance(error, MemoryError),
            )  # fmt: skip
        beat(engine, claim.owner, progress=False)
    except SQLAlchemyError as also:
        log.error(
            "batch could not be given back: its lease ends by time", job=claim.job_id, batch=claim.number,
            error=scoring_process.one_line(also),
        )  # fmt: skip


def _renewed(
    engine: Engine, settings: Settings, claim: batches.Claim, reading: hanging.Reading, alive: Callable[[], None]
) -> bool:
    alive()
    try:
        held = batches.renew_lease(engine, claim, settings.lease_seconds)
        if held and (item := hanging.overdue(reading, settings.picture_seconds)) is not None:
            hanging.end_this_process(engine, settings, claim, item)
        return held
    except SQLAlchemyError as error:
        log.warning("lease not renewed, trying again", error=scoring_process.one_line(error))
        return True


def _inspect_items(
    settings: Settings,
    claim: batches.Claim,
    model: scoring_process.Model,
    lost: threading.Event,
    reading: hanging.Reading,
    stages: Stages,
) -> Iterator[batches.Outcome]:
    """Outcomes of all items of the claim. Raises LateResult as soon as the batch is known to be `lost`.

    Scoring happens in the detector's own fixed batch shape; reading runs ahead of it, and notes in `reading` what it is
    at.
    """
    together = model.preprocessing.at_once(model.bundle.detector.together)
    maps = MapWriter(settings.map_store, claim.job_id)
    company = Company(model.bundle.card)
    audit = AuditDraw(claim, settings.audit_items)
    ready: list[tuple[batches.ItemRow, Picture]] = []
    looks: dict[int, dict[str, float | None]] = {}
    with contextlib.closing(read_ahead(claim, model.preprocessing, settings, reading, together)) as pictures:
        for item, read_result in stages.each("reading", pictures):
            if lost.is_set():
                raise LateResult(f"batch {claim.number} of job {claim.job_id} is held by somebody else now")
            if isinstance(read_result, UnreadablePicture):
                yield batches.Outcome(
                    item_id=item.id,
                    state=ItemState.UNREADABLE,
                    error=str(read_result),
                    sha256=read_result.sha256,
                )
            else:
                looks[item.id] = company.figures(read_result.appearance)
                ready.append((item, read_result))
            if len(ready) == together:
                yield from stages.each("scoring", _score(model.bundle, ready, looks, maps, audit))
                ready = []
    if ready:
        yield from stages.each("scoring", _score(model.bundle, ready, looks, maps, audit))


def _score(
    bundle: "Bundle", ready: Sequence[tuple[batches.ItemRow, Picture]], looks: dict[int, dict[str, float | None]],
    maps: MapWriter, audit: AuditDraw,
) -> Iterator[batches.Outcome]:  # fmt: skip
    scores = bundle.detector.score(np.stack([picture.pixels for _, picture in ready]))
    calibration = bundle.calibration
    # All of them: what is not finite could not be stored, and would give the whole batch back for ever.
    finite = np.logical_and.reduce([np.isfinite(values) for values in (scores.raw, *scores.parts.values())])
    raw = np.where(finite, scores.raw, 0.0)
    normalised, p_values, flagged = (
        calibration.normalise(raw),
        calibration.p_values(raw),
        calibration.flagged(raw),
    )
    audited = np.array([audit.draws(item.id) for item, _ in ready]) & ~flagged
    # Of an audited item, too: one without a heat map among the flagged would not be a blind one.
    shown = np.flatnonzero((flagged | audited) & finite)
    stored = _store_maps(bundle, scores, shown, [item.id for item, _ in ready], maps)
    for i, (item, picture) in enumerate(ready):
        if not finite[i]:
            yield batches.Outcome(
                item_id=item.id, state=ItemState.QUARANTINED, sha256=picture.sha256,
                error="the detector gave no finite score for this picture",
            )  # fmt: skip
            continue
        yield batches.Outcome(
            item_id=item.id, state=ItemState.SCORED, sha256=picture.sha256, note=picture.note,
            raw_score=float(raw[i]), score=float(normalised[i]), p_value=float(p_values[i]),
            flagged=bool(flagged[i]), parts={name: float(part[i]) for name, part in scores.parts.items()},
            map_uri=stored.get(i), audit_share=audit.share if audited[i] else None, appearance=looks[item.id],
        )  # fmt: skip


def _store_maps(
    bundle: "Bundle", scores: "Scores", chosen: np.ndarray, item_ids: Sequence[int], maps: MapWriter
) -> dict[int, str]:
    """Write the heat maps of the pictures with the numbers `chosen`; returns the names of those that are stored."""
    if scores.maps is None or not len(chosen):
        return {}
    from ganomaly.heat import heat

    chosen = chosen[np.isfinite(scores.maps[chosen]).all(axis=(1, 2))]  # a map may be, where its score is a number
    heats = heat(bundle, scores.maps[chosen])
    if heats is None:
        return {}
    names = {int(i): maps.write(item_ids[i], pack_heat(one)) for i, one in zip(chosen, heats, strict=True)}
    return {i: name for i, name in names.items() if name is not None}
