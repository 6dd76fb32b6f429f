"""One batch, from claim to results: read, score, write; at least once executed, exactly once recorded."""

import os
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import structlog
from sqlalchemy import Engine

import oddlot
from db import batches, endings, jobs, models, workers
from oddlot.errors import BundleError, LateResult, UnreadablePicture
from oddlot.processes import identity
from oddlot.settings import Settings
from oddlot.words import FINISHED_JOB_STATES, ItemState
from pictures.preprocessing import Preprocessing
from pictures.reading import Picture, read_picture
from worker import scoring_process

if TYPE_CHECKING:
    from ganomaly.bundle import Bundle

log = structlog.get_logger()

CHILD_SILENCE = 3600.0
"""Seconds without a finished batch after which a child is not shown any more: it may just have nothing to do."""


def inspect_batch(engine: Engine, settings: Settings, job_id: int, number: int) -> None:
    """Claim the batch, inspect its items and record every one of them.

    Does nothing where the batch is not to be had: done, held by a living process, or of a finished job.
    A model that cannot be loaded fails the whole job, because no picture of it can be at fault.
    """
    job = jobs.get_job(engine, job_id)
    if job.state in FINISHED_JOB_STATES:
        return
    model = models.get_model_by_id(engine, job.model_id)
    try:
        bundle = scoring_process.model(model.bundle_uri, model.bundle_sha256)
    except BundleError as error:
        endings.fail_job(engine, job_id, str(error))
        log.error("job failed", job=job_id, error=str(error))
        return
    owner = identity()
    claim = batches.claim_batch(engine, job_id, number, owner, settings.lease_seconds)
    if claim is None:
        return
    started = time.monotonic()
    try:
        outcomes = list(_inspect_items(engine, settings, claim, bundle, job.source))
        finished = batches.finish_batch(
            engine, claim, outcomes,
            model_id=model.id, host=socket.gethostname(), code_version=oddlot.__version__,
        )  # fmt: skip
    except LateResult as error:
        log.warning("late results refused", job=job_id, batch=number, error=str(error))
        return
    except Exception as error:
        # Not the pictures' doing as far as we know: give the batch back; after some attempts it is split.
        batches.release_batch(engine, claim, f"{type(error).__name__}: {error}", count_attempt=True)
        log.exception("batch given back", job=job_id, batch=number)
        return
    seconds = time.monotonic() - started
    workers.beat(
        engine, owner, socket.gethostname(), os.getpid(), workers.CHILD, progress=True, silent_seconds=CHILD_SILENCE
    )
    log.info("batch done", job=job_id, batch=number, items=len(outcomes), seconds=round(seconds, 3))
    if finished is not None:
        log.info("job finished", job=job_id, state=str(finished.state), scored=finished.scored)


def _inspect_items(
    engine: Engine, settings: Settings, claim: batches.Claim, bundle: "Bundle", source: str
) -> Iterator[batches.Outcome]:
    """Outcomes of all items of the claim, the lease renewed on the way.

    Reading runs ahead of scoring in threads; scoring happens in the detector's own fixed batch shape.
    """
    from ganomaly.detector import SCORING_BATCH

    preprocessing = Preprocessing.from_dict(bundle.preprocessing)
    renewed = time.monotonic()

    def read(item: batches.ItemRow) -> Picture | UnreadablePicture:
        try:
            return read_picture(
                item.path, preprocessing, root=source, expected=(item.size, item.mtime_ns),
                max_pixels=settings.max_pixels, max_file_bytes=settings.max_file_bytes,
            )  # fmt: skip
        except UnreadablePicture as reason:
            return reason

    with ThreadPoolExecutor(scoring_process.threads + 1) as readers:
        ready: list[tuple[batches.ItemRow, Picture]] = []
        for item, read_result in zip(claim.items, readers.map(read, claim.items), strict=True):
            if isinstance(read_result, UnreadablePicture):
                yield batches.Outcome(
                    item_id=item.id,
                    state=ItemState.UNREADABLE,
                    error=str(read_result),
                    sha256=read_result.sha256,
                )
            else:
                ready.append((item, read_result))
            if len(ready) == SCORING_BATCH:
                yield from _score(bundle, ready)
                ready = []
            if time.monotonic() - renewed > settings.lease_seconds / 4:
                if not batches.renew_lease(engine, claim, settings.lease_seconds):
                    raise LateResult(f"batch {claim.number} of job {claim.job_id} is held by somebody else now")
                renewed = time.monotonic()
        if ready:
            yield from _score(bundle, ready)


def _score(bundle: "Bundle", ready: Sequence[tuple[batches.ItemRow, Picture]]) -> Iterator[batches.Outcome]:
    scores = bundle.detector.score(np.stack([picture.pixels for _, picture in ready]), maps=False)
    calibration = bundle.calibration
    finite = np.isfinite(scores.raw)
    raw = np.where(finite, scores.raw, 0.0)
    normalised, p_values, flagged = (
        calibration.normalise(raw),
        calibration.p_values(raw),
        calibration.flagged(raw),
    )
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
        )  # fmt: skip
