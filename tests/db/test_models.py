"""Versions of a model: one is active, and every step back leads to where it came from."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from db import models
from oddlot.errors import NotFoundError, StateError
from oddlot.words import ModelState


def test_a_new_version_becomes_active_and_retires_the_last(engine, register):
    first, second, other = register(), register(), register("gearbox")
    assert (first.version, second.version, other.version) == (1, 2, 1)
    states = {(row.name, row.version): row.state for row in models.list_models(engine)}
    assert states == {
        ("flange", 1): ModelState.RETIRED, ("flange", 2): ModelState.ACTIVE, ("gearbox", 1): ModelState.ACTIVE
    }  # fmt: skip
    assert models.get_model(engine, "flange") == second
    assert models.get_model(engine, "flange", 1).card == {"note": "Größe µ"}
    assert models.get_model_by_id(engine, second.id) == second
    assert [row.name for row in models.list_models(engine, "gearbox")] == ["gearbox"]


def test_promote_and_rollback_lead_back_step_by_step(engine, register):
    for _ in range(3):
        register()
    assert models.rollback(engine, "flange").version == 2
    assert models.rollback(engine, "flange").version == 1
    with pytest.raises(StateError, match="was the first"):
        models.rollback(engine, "flange")
    assert models.promote(engine, "flange", 3).state == ModelState.ACTIVE
    assert models.promote(engine, "flange", 3).version == 3
    assert models.rollback(engine, "flange").version == 1
    assert sum(row.state == ModelState.ACTIVE for row in models.list_models(engine)) == 1


def test_a_candidate_changes_nothing_until_somebody_promotes_it(engine, register):
    first = register()
    candidate = register(activate=False)
    assert (candidate.version, candidate.state) == (2, ModelState.CANDIDATE)
    assert models.get_model(engine, "flange") == first
    assert models.newest_candidate(engine, "flange") == candidate
    assert models.get_model(engine, "flange", 2) == candidate
    assert models.promote(engine, "flange", 2).state == ModelState.ACTIVE
    assert models.get_model(engine, "flange", 1).state == ModelState.RETIRED
    assert models.rollback(engine, "flange").version == 1
    third = register()
    assert (third.version, models.newest_candidate(engine, "flange")) == (3, None)


def test_where_there_are_only_candidates_it_is_said_why_and_what_to_do(engine, register):
    register(activate=False, card={"honesty": {"reason": "it is a coin"}})
    with pytest.raises(NotFoundError, match=r"candidate, because it is a coin; .*`oddlot models promote flange 1`"):
        models.get_model(engine, "flange")
    register(activate=False)
    with pytest.raises(NotFoundError, match=r"version 2 is a candidate; .*`oddlot models promote flange 2`"):
        models.get_model(engine, "flange")
    with pytest.raises(NotFoundError):
        models.rollback(engine, "flange")
    assert models.promote(engine, "flange", 2).version == 2
    with pytest.raises(StateError, match="was the first"):
        models.rollback(engine, "flange")


def test_what_is_not_there_is_named_with_what_is(engine, register):
    with pytest.raises(NotFoundError, match="oddlot fit gearbox"):
        models.get_model(engine, "gearbox")
    register()
    with pytest.raises(NotFoundError, match="there are flange"):
        models.get_model(engine, "gearbox")
    with pytest.raises(NotFoundError, match="no version 7 of flange"):
        models.promote(engine, "flange", 7)


def test_fits_that_end_together_get_versions_of_their_own(engine, register):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: register().version, range(16)))
    assert sorted(made) == list(range(1, 17))
    assert [row.version for row in models.list_models(engine) if row.state == ModelState.ACTIVE] == [16]
