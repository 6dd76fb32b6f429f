"""Models on the page: what they know, another threshold, candidates compared and promoted, and the way back."""

import datetime as dt
from dataclasses import asdict, dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from db import fits, models, what_if
from db.audit_log import Act, record_done
from db.models import ModelRow
from db.verdicts import confirmed
from oddlot.errors import NotFoundError, OddlotError, StateError
from oddlot.words import ModelState, Verdict
from report.model_card import model_card
from review.comparing import Compared
from review.filters import VersionNumber
from review.rendering import page
from review.reviewer import reviewer_of
from review.visits import actor_of
from worker import comparison, submission

router = APIRouter(prefix="/models")
NIGHTS = 7
DAYS = 30
"""How far back another threshold is tried."""
RATE_LENGTH = 20


@dataclass(frozen=True)
class Tried:
    """Another false-alarm rate tried on history; `same` where its threshold is the present one."""

    rate: str
    says: list[str]
    trouble: str | None = None
    same: bool = False


@dataclass(frozen=True)
class Candidate:
    """A version that could be promoted; `compared` is None while nobody has asked or it is not done."""

    row: ModelRow
    compared: Compared | None
    running: bool
    trouble: str | None


@router.get("")
def all_models(request: Request) -> Response:
    rows = models.list_models(request.app.state.engine, cards=False)
    names = sorted({row.name for row in rows})
    newest = {name: max(row.version for row in rows if row.name == name) for name in names}
    active = {row.name: row for row in rows if row.state == ModelState.ACTIVE}
    return page(request, "models.html", names=names, newest=newest, active=active)


@router.get("/{name}")
def one_model(request: Request, name: str, rate: str = "", candidate: int = 0) -> Response:
    from trainer.again import learnt_from

    engine = request.app.state.engine
    rows = sorted(models.list_models(engine, name), key=lambda row: -row.version)
    if not rows:
        raise NotFoundError(f"there is no model {name!r}")
    active = next((row for row in rows if row.state == ModelState.ACTIVE), None)
    chosen = next((row for row in rows if row.version == candidate and row is not active), None)
    alarms = [one for one in confirmed(engine, name) if one.verdict == Verdict.GOOD]
    return page(
        request, "model.html", name=name, rows=rows, active=active, card=model_card(active) if active else None,
        tried=_try(request, active, rate) if active and rate.strip() else None, days=DAYS, nights=NIGHTS,
        candidate=_candidate(request, active, chosen) if active and chosen else None,
        alarms=len({one.sha256 for one in alarms}), folder=(learnt_from(active) or "") if active else None,
        fits=[fit for fit in fits.recent_fits(engine, 20) if fit.name == name],
    )  # fmt: skip


@router.post("/{name}/threshold")
def apply(request: Request, name: str, rate: Annotated[str, Form()]) -> Response:
    """Make a new version with the threshold of another false-alarm rate."""
    from trainer.threshold import apply_threshold, calibrated_for

    state = request.app.state
    active = models.get_model(state.engine, name)
    calibration = calibrated_for(state.settings, active, _rate(rate))
    new = apply_threshold(state.engine, state.settings, active, calibration)
    by, rate = actor_of(request, reviewer_of(request)), f"{calibration.false_alarms:g}"
    record_done(state.engine, by, Act.THRESHOLD_APPLIED, f"{name} {new.version}", f"false-alarm rate {rate}")
    return RedirectResponse(f"/models/{name}", 303)


@router.post("/{name}/{version}/compare")
def compare(request: Request, name: str, version: VersionNumber) -> Response:
    """Begin a comparison that needs the candidate's network."""
    state = request.app.state
    active, candidate = models.get_model(state.engine, name), models.get_model(state.engine, name, version)
    state.comparisons.ask(active.id, candidate.id, NIGHTS)
    return RedirectResponse(f"/models/{name}?candidate={version}", 303)


@router.post("/{name}/{version}/promote")
def promote(request: Request, name: str, version: VersionNumber, accept: Annotated[str, Form()] = "") -> Response:
    """Make a version active that was compared with the active one; `accept` where confirmed defects would be lost."""
    engine = request.app.state.engine
    candidate = models.get_model(engine, name, version)
    try:
        active = models.get_model(engine, name)
    except NotFoundError:
        active = None  # the first one
    if active is not None and active.id != candidate.id:
        compared = _candidate(request, active, candidate).compared
        if compared is None:
            raise StateError(f"version {version} of {name} was not compared with the active one yet")
        if compared.lost and accept != "yes":
            raise StateError(f"version {version} of {name} would lose confirmed defects: say that you accept it")
    models.promote(engine, name, version, actor_of(request, reviewer_of(request)))
    return RedirectResponse(f"/models/{name}", 303)


@router.post("/{name}/rollback")
def rollback(request: Request, name: str) -> Response:
    models.rollback(request.app.state.engine, name, actor_of(request, reviewer_of(request)))
    return RedirectResponse(f"/models/{name}", 303)


@router.post("/{name}/learn")
def learn(request: Request, name: str) -> Response:
    """Queue a fit like that of the active version, with the false alarms that were called good, as a candidate."""
    from trainer.again import options_of

    state = request.app.state
    active = models.get_model(state.engine, name)
    options = replace(options_of(active), from_verdicts=True, candidate=True)
    if any(fit.name == name and fit.error is None for fit in fits.recent_fits(state.engine, 20)):
        raise StateError(f"a fit of {name} waits or runs already")
    fits.ask_fit(state.engine, name, asdict(options), actor_of(request, reviewer_of(request)))
    submission.publish(state.engine, state.settings)
    return RedirectResponse(f"/models/{name}", 303)


def _try(request: Request, active: ModelRow, text: str) -> Tried:
    from trainer.threshold import calibrated_for

    state = request.app.state
    try:
        calibration = calibrated_for(state.settings, active, _rate(text))
        alike = comparison.scoring_alike(state.engine, state.settings, active)
    except OddlotError as error:
        return Tried(text[:RATE_LENGTH], [], str(error))
    since = dt.datetime.now(dt.UTC) - dt.timedelta(days=DAYS)
    found = what_if.replay(state.engine, alike, calibration.threshold, since=since)
    return Tried(text[:RATE_LENGTH], what_if.says(found), same=calibration.threshold == active.threshold)


def _rate(text: str) -> float:
    """A rate as people write it, "0.5 %" or "0.005". Raises OddlotError."""
    plain = text.strip().replace(",", ".")
    try:
        rate = float(plain.removesuffix("%")) / (100 if plain.endswith("%") else 1)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1:
        raise OddlotError(f"a false-alarm rate is written as 0.5 % or 0.005, not {text[:RATE_LENGTH]!r}")
    return rate


def _candidate(request: Request, active: ModelRow, row: ModelRow) -> Candidate:
    state = request.app.state
    if row.id in comparison.scoring_alike(state.engine, state.settings, active):
        found = comparison.compare(state.engine, state.settings, active, row, nights=NIGHTS)
        says, lost = (comparison.says(found), found.defects.dropped) if found is not None else ([], ())
        return Candidate(row, Compared(tuple(says), lost), False, None)
    asked = state.comparisons.state(active.id, row.id, NIGHTS)
    if asked is None or not asked.done():
        return Candidate(row, None, asked is not None, None)
    if (error := asked.exception()) is not None:
        return Candidate(row, None, False, str(error))
    return Candidate(row, None if asked.result().stale else asked.result(), False, None)
