"""Why an item got its score: computed again from picture and model, or from what is kept where one is gone."""

from dataclasses import dataclass, field

import numpy as np

from db.items import ItemDetail
from oddlot.errors import BundleError, StoreError, UnreadablePicture
from oddlot.settings import Settings
from oddlot.words import ItemState, Runtime
from pictures.decoding import Decoded, decode, read_bytes
from pictures.heatmap import Heat, unpack_heat
from pictures.preprocessing import Preprocessing
from pictures.reading import preprocess
from pictures.region import Region
from pictures.sheet import Pixels, as_seen
from worker import scoring_process
from worker.map_store import read_map


@dataclass(frozen=True)
class Standing:
    """Where a score stands among those of the calibration pictures: higher than `higher_than` of `n`.

    `below` is the nearest calibration score under it, `at_least` the nearest that is as high; None where there is none.
    """

    n: int
    higher_than: int
    below: float | None
    at_least: float | None


@dataclass
class Explanation:
    """What can be said about a scored item today.

    `raw_score` is what its picture gives now, None where that could not be computed, and `same` whether that is what it
    was, within `tolerance`. `heat` is its heat map, `heat_from` "picture" where it was computed now and "store" where
    it was kept; `picture` the upright picture for the screen; `region` the part of it that the map covers, None for all
    of it; `localises` whether the score is that of a place; `notes` say, a line each, what was not possible or differs.
    """

    raw_score: float | None = None
    tolerance: float | None = None
    same: bool = False
    standing: Standing | None = None
    heat: Heat | None = None
    heat_from: str | None = None
    localises: bool = True
    picture: Pixels | None = None
    region: Region | None = None
    notes: list[str] = field(default_factory=list)


def explain(settings: Settings, item: ItemDetail) -> Explanation:
    """Explain a scored item. Whatever is missing or has changed becomes a note, never an error."""
    found = Explanation()
    model = _model(settings, item, found)
    looks = model.preprocessing if model is not None else _of_card(item)
    found.region = looks.region if looks is not None else None
    window = looks.window if looks is not None else (0.0, 1.0)
    data = _unchanged_bytes(settings, item, found)
    if data is not None:
        try:
            # At its full size: the model itself may be content with less of a large JPEG.
            found.picture = as_seen(decode(data, max_pixels=settings.max_pixels), window)
            if model is not None:
                target = model.preprocessing.whole_side
                _score_again(item, model, decode(data, max_pixels=settings.max_pixels, target=target), found)
        except UnreadablePicture as reason:
            found.notes.append(f"not computed again: the picture cannot be read now: {reason}")
    if found.heat is None and item.map_uri is not None:
        if looks is None:
            found.notes.append("the stored heat map is not shown: the model's card does not say where it lies")
            return found
        try:
            found.heat, found.heat_from = unpack_heat(read_map(settings.map_store, item.map_uri)), "store"
        except (OSError, ValueError) as error:
            cause = error.strerror if isinstance(error, OSError) else str(error)
            found.notes.append(f"the stored heat map {settings.map_store / item.map_uri} cannot be read: {cause}")
    return found


def _model(settings: Settings, item: ItemDetail, found: Explanation) -> scoring_process.Model | None:
    try:
        model = scoring_process.model(settings.model_store, item.bundle_uri, item.bundle_sha256)
    except (BundleError, StoreError) as error:
        found.notes.append(f"not computed again: {error}")
        network = item.card.get("network")
        found.localises = not (isinstance(network, dict) and network.get("score") == "latent")
        return None
    found.localises = model.bundle.detector.config.score != "latent"
    if item.raw_score is not None:
        scores = model.bundle.calibration.scores
        lower = int(np.searchsorted(scores, item.raw_score, side="left"))
        found.standing = Standing(
            n=len(scores),
            higher_than=lower,
            below=float(scores[lower - 1]) if lower else None,
            at_least=float(scores[lower]) if lower < len(scores) else None,
        )
    return model


def _of_card(item: ItemDetail) -> Preprocessing | None:
    """How the model looks at pictures, as SQL knows it, too; None where a card that was carried here says nonsense."""
    try:
        return Preprocessing.from_dict(item.card.get("preprocessing"))
    except BundleError:
        return None


def _unchanged_bytes(settings: Settings, item: ItemDetail, found: Explanation) -> bytes | None:
    """The bytes that were inspected, and no others."""
    try:
        data, sha256 = read_bytes(item.path, max_file_bytes=settings.max_file_bytes, root=item.source)
    except (UnreadablePicture, StoreError) as reason:
        found.notes.append(f"not computed again: {item.path}: {reason}")
        return None
    if sha256 != item.sha256:
        found.notes.append(f"not computed again: {item.path} is not the file that was inspected: its SHA-256 differs")
        return None
    return data


def _score_again(item: ItemDetail, model: scoring_process.Model, decoded: Decoded, found: Explanation) -> None:
    from ganomaly.bundle import tolerance_of
    from ganomaly.heat import heat

    scores = model.bundle.detector.score(preprocess(decoded, model.preprocessing)[np.newaxis])
    raw = float(scores.raw[0])
    if not np.isfinite(raw) or scores.maps is None:
        found.notes.append("computed again, the score is not a finite number")
        return
    found.raw_score = raw
    stored = item.raw_score
    assert stored is not None  # of a scored item
    runtime = Runtime(scoring_process.settings().runtime)
    detector = model.bundle.detector
    tolerance = tolerance_of(detector.config.precision, model.bundle.card, runtime, item.scored_on)
    found.tolerance = tolerance * max(abs(stored), abs(model.bundle.calibration.threshold))
    found.same = abs(raw - stored) <= found.tolerance
    if not found.same:
        found.notes.append(
            f"computed again, the raw score is {raw:.6g} and not {stored:.6g}: "
            "this machine or its libraries compute something else than those of the night"
            f" ({item.scored_on or 'not recorded'}; now {detector.runs_on})"
        )
    heats = heat(model.bundle, scores.maps)
    if heats is None:
        found.notes.append("no heat map: the card of this model has no scale for one that can be used")
    else:
        found.heat, found.heat_from = heats[0], "picture"


def why_not_scored(item: ItemDetail) -> str:
    """Why an item has no score (any more), in plain words."""
    if item.state == ItemState.SCORED:
        when = f" on {item.pruned_at:%Y-%m-%d}" if item.pruned_at is not None else ""
        return f"its result was pruned{when}; that it was scored, and by which model, is kept"
    reason = f": {item.error}" if item.error else ""
    return {
        ItemState.WAITING: f"not looked at yet: its job is {item.job_state}",
        ItemState.UNREADABLE: f"the file could not be inspected{reason}",
        ItemState.QUARANTINED: f"set aside, because inspecting it failed{reason}",
        ItemState.CANCELLED: f"not looked at: its job was cancelled before{reason}",
    }[item.state]
