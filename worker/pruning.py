"""Removing what is old: rows of SQL by `db.pruning`, heat maps and thumbnails from their stores.

Rows go before files. So no result ever names a map that is gone; and a file whose row is gone lies in the folder of a
job that says it is pruned, where the next pruning finds it.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Engine

from db import pruning
from db.pruning import Rule
from oddlot.places import Place
from oddlot.settings import Settings
from worker.stored_files import StoredFile, remove_folder, stored_files

log = structlog.get_logger()

LEAST_PAUSE = 0.02
"""Seconds between two steps, at least; else as long as the step took, so that half of the time is the others'."""

_FILE = re.compile(r"(\d{1,18})\.(?:png|webp)")
_UNFINISHED = re.compile(r"\..+\.partial")


@dataclass
class Freed:
    """What a pruning removed, or would remove: jobs, rows, files by kind (`maps`, `thumbnails`), and their bytes.

    `failed` are files that could not be removed, with the reason; their jobs are tried again by the next pruning.
    """

    jobs: int = 0
    results: int = 0
    audits: int = 0
    files: Counter[str] = field(default_factory=Counter)
    file_bytes: int = 0
    failed: list[str] = field(default_factory=list)


def prune(
    engine: Engine, settings: Settings, rules: Sequence[Rule], *, seconds: float | None = None,
    on_step: Callable[[Freed], None] = lambda _: None,
) -> Freed:  # fmt: skip
    """Remove what the rules say, and finish what another pruning has left half done; there, verdicts are kept.

    Any number may run at once, and each may be killed at any moment. Ends after so many `seconds`, wherever it is.
    """
    freed = Freed()
    steps = _steps(engine, settings, rules, freed)
    end = None if seconds is None else time.monotonic() + seconds
    began = time.monotonic()
    for _ in steps:
        on_step(freed)
        time.sleep(max(LEAST_PAUSE, time.monotonic() - began))
        began = time.monotonic()
        if end is not None and began >= end:
            break
    return freed


def preview(engine: Engine, settings: Settings, rules: Sequence[Rule]) -> Freed:
    """What `prune` would remove now; changes nothing."""
    freed = Freed()
    seen: set[int] = set()
    for rule in rules:
        for job_id in pruning.due_jobs(engine, rule):
            if job_id in seen:
                continue
            seen.add(job_id)
            rows = pruning.removable(engine, job_id, keep_verdicts=rule.keep_verdicts)
            freed.jobs, freed.results = freed.jobs + 1, freed.results + rows.results
            freed.audits += rows.audits
            for store, kind in _stores(settings):
                for entries in _parts(stored_files(store / str(job_id))):
                    kept = pruning.judged_among(engine, _items(entries)) if rule.keep_verdicts else set()
                    for entry in entries:
                        if _item(entry) not in kept:
                            freed.file_bytes += entry.size()
                            freed.files[kind] += 1
    return freed


def prune_schedules(engine: Engine, settings: Settings, *, seconds: float) -> None:
    """Remove what schedules do not keep any more, but for what was judged, for so many seconds; says in the log what.

    Any number of ticks may do so at once. Usually there is nothing: a query for each schedule that names days.
    """
    freed = prune(engine, settings, pruning.rules_of_schedules(engine, keep_verdicts=True), seconds=seconds)
    if freed.jobs or freed.results or freed.files.total():
        log.info("pruned", jobs=freed.jobs, results=freed.results, files=freed.files.total(), bytes=freed.file_bytes)
    if freed.failed:
        log.error("files could not be removed", files=len(freed.failed), first=freed.failed[0])


def _steps(engine: Engine, settings: Settings, rules: Sequence[Rule], freed: Freed) -> Iterator[None]:
    """All of it, with a stop after each transaction and each thousand files."""
    tried: set[int] = set()
    for rule in rules:
        for job_id in pruning.due_jobs(engine, rule):
            if job_id not in tried and pruning.begin(engine, job_id, rule):
                tried.add(job_id)
                freed.jobs += 1
                yield
                yield from _prune_job(engine, settings, job_id, rule.keep_verdicts, freed)
    for job_id in sorted({*pruning.half_done(engine)} - tried):
        yield from _prune_job(engine, settings, job_id, True, freed)


def _prune_job(engine: Engine, settings: Settings, job_id: int, keep_verdicts: bool, freed: Freed) -> Iterator[None]:
    for results, audits in pruning.remove_rows(engine, job_id, keep_verdicts=keep_verdicts):
        freed.results, freed.audits = freed.results + results, freed.audits + audits
        yield
    failed = len(freed.failed)
    yield from _remove_files(engine, settings, job_id, freed)
    if len(freed.failed) == failed:
        pruning.finish(engine, job_id, keep_verdicts=keep_verdicts)


def remove_leftovers(engine: Engine, settings: Settings, freed: Freed) -> None:
    """Remove files of pruned jobs that came after their pruning, as from a worker that was frozen meanwhile."""
    names: set[int] = set()
    for store, _ in _stores(settings):
        names.update(int(entry.name) for entry in stored_files(store) if re.fullmatch(r"\d{1,18}", entry.name))
    for job_id in sorted(pruning.pruned_among(engine, sorted(names))):
        for _ in _remove_files(engine, settings, job_id, freed):
            time.sleep(LEAST_PAUSE)


def _remove_files(engine: Engine, settings: Settings, job_id: int, freed: Freed) -> Iterator[None]:
    """Remove each file of the job whose item has no result, and its folders where they are empty then."""
    for store, kind in _stores(settings):
        folder = store / str(job_id)
        try:
            parts = list(_parts(stored_files(folder)))
        except OSError as error:
            freed.failed.append(f"{folder}: {error.strerror}")
            continue
        for entries in parts:
            gone = pruning.without_result(engine, _items(entries))
            for entry in entries:
                number = _item(entry)
                if number is None or number in gone:
                    _remove(entry, kind, freed)
            yield
        remove_folder(folder)


def _remove(entry: StoredFile, kind: str, freed: Freed) -> None:
    try:
        size = entry.size()
        entry.remove()
    except FileNotFoundError:
        return  # another pruning was faster, and counts it
    except OSError as error:
        freed.failed.append(f"{entry.place}: {error.strerror}")
        return
    freed.file_bytes += size
    freed.files[kind] += 1


def _stores(settings: Settings) -> tuple[tuple[Place, str], ...]:
    """Each store of files, and what its files are."""
    return (settings.map_store, "maps"), (settings.thumb_store, "thumbnails")


def _parts(entries: list[StoredFile]) -> Iterator[list[StoredFile]]:
    """Our files among them, a thousand at a time; what is not called like ours is nobody's business here."""
    ours = [entry for entry in entries if _FILE.fullmatch(entry.name) or _UNFINISHED.fullmatch(entry.name)]
    for start in range(0, len(ours), pruning.STEP):
        yield ours[start : start + pruning.STEP]


def _item(entry: StoredFile) -> int | None:
    """The item that a file belongs to; None for one that was never finished."""
    match = _FILE.fullmatch(entry.name)
    return int(match[1]) if match else None


def _items(entries: Sequence[StoredFile]) -> list[int]:
    return [number for entry in entries if (number := _item(entry)) is not None]
