"""One item with everything that is known about it."""

from dataclasses import replace

import pytest
from making import claimed, finish, scored

from db.batches import Outcome
from db.items import get_item
from oddlot.errors import NotFoundError
from oddlot.words import ItemState, JobState


def test_an_item_comes_with_its_job_its_model_and_its_result(engine, submit, model):
    job = submit(2, batch_size=2, line="press 3", lot="lot 7")
    claim = claimed(engine, job, 1)
    odd, unreadable = claim.items
    waiting = get_item(engine, odd.id)
    assert (waiting.state, waiting.job_state, waiting.raw_score) == (ItemState.WAITING, JobState.RUNNING, None)
    found = replace(scored(odd, 0.75), map_uri=f"{job.id}/{odd.id}.png", note="a note")
    finish(engine, claim, [found, Outcome(unreadable.id, ItemState.UNREADABLE, error="the file is empty")])
    detail = get_item(engine, odd.id)
    assert (detail.path, detail.sha256, detail.note) == (odd.path, f"{odd.id:064x}", "a note")
    assert (detail.raw_score, detail.score, detail.flagged, detail.parts) == (1.5, 0.75, True, {"latent": 0.75})
    assert (detail.map_uri, detail.line, detail.lot) == (f"{job.id}/{odd.id}.png", "press 3", "lot 7")
    assert (detail.model_name, detail.model_version, detail.bundle_uri) == ("flange", model.version, model.bundle_uri)
    assert (detail.job_state, detail.source, detail.host) == (JobState.DONE, "/data/lot", "here")
    other = get_item(engine, unreadable.id)
    assert (other.state, other.error, other.parts) == (ItemState.UNREADABLE, "the file is empty", None)


def test_an_item_that_is_not_there_is_one_line(engine):
    with pytest.raises(NotFoundError, match="there is no item 77"):
        get_item(engine, 77)
