"""What another version of a model would have flagged over the last nights, compared with the active one."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

import numpy as np
from sqlalchemy import Engine

from db import models, what_if
from db.comparison_sample import ComparisonSample, Kind, SampledItem, draw_sample
from db.models import ModelRow
from db.quality import number
from db.what_if import Judged
from oddlot.errors import BundleError, UnreadablePicture
from oddlot.intervals import Interval, Stratum, count_in
from oddlot.settings import Settings
from pictures.reading import Picture, read_picture
from worker import scoring_process

MOST_PICTURES = 500
"""Pictures that are scored again, at most: a minute or some, on one PC."""


@dataclass(frozen=True)
class Comparison:
    """Nights since `first_night` in which the active version scored `scored` items and flags `flagged`.

    `would_flag` is how many the candidate flags: an estimate where the pictures had to be scored again by another
    network (`again`), of which `looked_at` were and `unavailable` could not be; None where of some kind of item no
    picture was left. `defects` and `alarms` are what becomes of the items that a person called defect, and good, as far
    as they were looked at; `unseen_defects` are the numbers of confirmed defects that were not.
    """

    active: int
    candidate: int
    first_night: date
    again: bool
    scored: int
    flagged: int
    would_flag: Interval | None
    defects: Judged
    alarms: Judged
    looked_at: int = 0
    unavailable: int = 0
    unseen_defects: tuple[int, ...] = ()


def scoring_alike(engine: Engine, settings: Settings, model: ModelRow) -> list[int]:
    """The numbers of all versions of that model whose raw scores are the same as its own, itself included; those whose
    bundle is gone cannot be known to be."""
    from ganomaly.bundle_store import bundle_folder
    from ganomaly.rethreshold import scoring_hashes

    def hashes(row: ModelRow) -> tuple[str, ...] | None:
        try:
            folder = bundle_folder(settings.model_store / row.bundle_uri, row.bundle_sha256, settings.home)
            return scoring_hashes(folder, row.bundle_sha256)
        except BundleError:
            return None

    own = hashes(model)
    versions = models.list_models(engine, model.name) if own is not None else []
    return sorted({model.id} | {row.id for row in versions if hashes(row) == own})


def compare(
    engine: Engine, settings: Settings, active: ModelRow, candidate: ModelRow, *, nights: int,
    most: int = MOST_PICTURES, on_scored: Callable[[int, int], None] | None = None,
) -> Comparison | None:  # fmt: skip
    """Compare two versions of a model on the last `nights` nights in which the active one scored something; None where
    it scored nothing.

    Versions of one network are compared on all stored raw scores. For another network `most` of the pictures are scored
    again, as far as they are there and unchanged, and nothing of that is stored; `on_scored` is told (done, of). Raises
    BundleError where the candidate cannot be loaded.
    """
    alike = scoring_alike(engine, settings, active)
    first_night = what_if.last_nights(engine, alike, nights)
    if first_night is None:
        return None
    if candidate.id in alike:
        found = what_if.replay(
            engine, alike, candidate.threshold, instead_of=active.threshold, first_night=first_night
        )  # fmt: skip
        flags = float(found.would_flag)
        return Comparison(
            active.version, candidate.version, first_night, False, found.scored, found.flagged,
            Interval(flags, flags, flags, flags), found.defects, found.alarms,
        )  # fmt: skip
    model = scoring_process.model(settings.model_store, candidate.bundle_uri, candidate.bundle_sha256)
    sample = draw_sample(engine, alike, active.threshold, first_night=first_night, most=most)
    flags_now = dict(_flags(settings, model, sample.items, on_scored))
    return _compared(active, candidate, first_night, sample, flags_now)


def _compared(
    active: ModelRow, candidate: ModelRow, first_night: date, sample: ComparisonSample, flags_now: dict[int, bool]
) -> Comparison:  # fmt: skip
    seen = [one for one in sample.items if one.id in flags_now]
    looked_at, found = Counter(one.kind for one in seen), Counter(one.kind for one in seen if flags_now[one.id])
    present = [kind for kind, size in sample.sizes.items() if size]
    strata = [Stratum(sample.sizes[kind], looked_at[kind], found[kind]) for kind in present if looked_at[kind]]
    by_kind = {
        kind: what_if.judge([(one.id, one.flagged, flags_now[one.id]) for one in seen if one.kind == kind])
        for kind in (Kind.DEFECT, Kind.GOOD)
    }
    return Comparison(
        active.version, candidate.version, first_night, True, sum(sample.sizes.values()), sample.flagged,
        count_in(strata) if strata and len(strata) == len(present) else None, by_kind[Kind.DEFECT], by_kind[Kind.GOOD],
        looked_at=len(seen), unavailable=len(sample.items) - len(seen),
        unseen_defects=tuple(one.id for one in sample.items if one.kind == Kind.DEFECT and one.id not in flags_now),
    )  # fmt: skip


def _flags(
    settings: Settings, model: scoring_process.Model, items: Sequence[SampledItem],
    on_scored: Callable[[int, int], None] | None,
) -> Iterator[tuple[int, bool]]:  # fmt: skip
    """Which of the pictures the model flags, by their numbers; without those that are gone, changed or unreadable."""

    def read(one: SampledItem) -> Picture | None:
        try:
            picture = read_picture(
                one.path, model.preprocessing, root=one.source, expected=(one.size, one.mtime_ns),
                max_pixels=settings.max_pixels, max_file_bytes=settings.max_file_bytes,
            )  # fmt: skip
        except UnreadablePicture:
            return None
        return picture if picture.sha256 == one.sha256 else None

    step = model.preprocessing.at_once(model.bundle.detector.together)
    with ThreadPoolExecutor(scoring_process.threads + 1) as readers:
        for start in range(0, len(items), step):
            chunk = items[start : start + step]
            read_ones = [
                (one.id, picture) for one, picture in zip(chunk, readers.map(read, chunk), strict=True) if picture
            ]
            if read_ones:
                raw = model.bundle.detector.score(np.stack([p.pixels for _, p in read_ones]), maps=False).raw
                for (item_id, _), score in zip(read_ones, raw, strict=True):
                    if np.isfinite(score):
                        yield item_id, bool(model.bundle.calibration.flagged(score))
            if on_scored is not None:
                on_scored(min(start + step, len(items)), len(items))


def says(found: Comparison) -> list[str]:
    """The comparison as sentences."""
    if not found.again:
        assert found.would_flag is not None
        head = [
            f"Since the night of {found.first_night}: of {number(found.scored, 'scored item')} version "
            f"{found.candidate} flags {found.would_flag.value:.0f}, version {found.active} {found.flagged} (the same "
            "network, so the stored scores tell it)."
        ]
        return head + what_if.judged_says(found.defects, found.alarms)
    head = [
        f"Since the night of {found.first_night}: version {found.active} flags {found.flagged} of "
        f"{number(found.scored, 'scored item')}; version {found.candidate} "
        + _estimate(found.would_flag)
        + f" It is another network, so {number(found.looked_at, 'picture')} were scored again."
    ]
    if found.unavailable:
        head.append(f"{number(found.unavailable, 'picture')} could not be: gone, changed or not readable for it.")
    if found.unseen_defects:
        head.append(f"Whether {number(len(found.unseen_defects), 'confirmed defect')} would be lost is not known, the "
                    f"picture not being there{what_if.named(found.unseen_defects)}.")  # fmt: skip
    return head + what_if.judged_says(found.defects, found.alarms)


def _estimate(flags: Interval | None) -> str:
    if flags is None:
        return "cannot be estimated, as too many pictures are gone."
    if flags.low == flags.high:
        return f"flags {flags.value:.0f}."
    return f"about {flags.value:.0f} ({flags.low:.0f} to {flags.high:.0f} with 95 % confidence)."
