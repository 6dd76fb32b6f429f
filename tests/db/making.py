"""Jobs and outcomes without pictures behind them."""

from sqlalchemy import Engine

from db import batches, jobs
from db.batches import Claim, ItemRow, Outcome
from db.jobs import JobRow
from db.models import ModelRow
from oddlot.words import ItemState


def open_job(engine: Engine, model: ModelRow, **values: object) -> int:
    shown = {
        "source": "/data/lot", "line": None, "lot": "lot", "priority": 5, "recursive": True, "glob": None,
        "only_new": False, "key": None,
    }  # fmt: skip
    job_id, created = jobs.create_job(engine, model_id=model.id, **(shown | values))
    assert created
    return job_id


def files(count: int) -> list[tuple[str, int, int]]:
    return [(f"/data/lot/{i:05}.jpg", 1000 + i, 10**18 + i) for i in range(count)]


def claimed(engine: Engine, job: JobRow, number: int, owner: str = "me", lease: float = 60.0) -> Claim:
    claim = batches.claim_batch(engine, job.id, number, owner, lease)
    assert claim is not None
    return claim


def scored(item: ItemRow, score: float = 0.1) -> Outcome:
    return Outcome(
        item.id, ItemState.SCORED, sha256=f"{item.id:064x}", raw_score=score * 2, score=score, p_value=0.5,
        flagged=score > 0.5, parts={"latent": score},
    )  # fmt: skip


def finish(engine: Engine, claim: Claim, outcomes: list[Outcome] | None = None) -> JobRow | None:
    outcomes = [scored(item) for item in claim.items] if outcomes is None else outcomes
    return batches.finish_batch(engine, claim, outcomes, host="here", code_version="0.1.0")
