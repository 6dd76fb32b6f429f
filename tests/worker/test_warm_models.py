"""What a process keeps loaded: no more than it may, the latest used, each verified once."""

import shutil
from dataclasses import replace

import pytest

from ganomaly import bundle
from oddlot.errors import BundleError
from worker import memory, scoring_process

CARDS = ("a", "b", "c")


@pytest.fixture
def bundles(trained, tmp_path):
    """Three bundles in a store of their own, by name."""
    return {name: trained.write(tmp_path / "store" / name, card={"name": name}) for name in CARDS}


@pytest.fixture
def load(bundles, tmp_path):
    return lambda name: scoring_process.model(tmp_path / "store", name, bundles[name])


@pytest.fixture
def may_keep(monkeypatch, variables, nothing_loaded):
    """Says what a process may keep, as its settings would."""

    def set_bounds(models, megabytes=10**6):
        for name, value in (variables | {
            "ODDLOT_WARM_MODELS": str(models), "ODDLOT_WARM_MEGABYTES": str(megabytes)
        }).items():  # fmt: skip
            monkeypatch.setenv(name, value)
        scoring_process.settings.cache_clear()

    yield set_bounds
    scoring_process.settings.cache_clear()


@pytest.fixture
def verified(monkeypatch):
    """The bundles whose golden pictures were scored."""
    seen, real = [], bundle._check_golden
    monkeypatch.setattr(bundle, "_check_golden", lambda *args: (seen.append(args), real(*args)))
    return seen


def kept(bundles):
    names = {sha256: name for name, sha256 in bundles.items()}
    return "".join(names[sha256] for sha256 in scoring_process.loaded(3).bundles)


def test_the_least_recently_used_goes_first_and_what_is_kept_is_verified_once(bundles, load, may_keep, verified):
    may_keep(2)
    first = load("a")
    load("b")
    assert load("a") is first
    assert (kept(bundles), len(verified)) == ("ba", 2)
    load("c")
    assert (kept(bundles), len(verified)) == ("ac", 3)
    load("b")
    assert (kept(bundles), len(verified)) == ("cb", 4)


def test_a_process_with_more_memory_than_it_may_have_keeps_one(bundles, load, may_keep):
    may_keep(100, megabytes=1)
    for name in CARDS:
        load(name)
        assert kept(bundles) == name


def test_with_room_for_all_all_are_kept(bundles, load, may_keep):
    may_keep(100)
    for name in CARDS:
        load(name)
    assert kept(bundles) == "abc"


def test_a_bundle_that_is_gone_drops_none_that_is_kept(bundles, load, may_keep, tmp_path):
    may_keep(1)
    load("a")
    shutil.rmtree(tmp_path / "store" / "b")
    with pytest.raises(BundleError, match="missing"):
        load("b")
    assert kept(bundles) == "a"


def test_a_bundle_that_was_changed_on_disk_is_refused_when_it_is_loaded_again(bundles, load, may_keep, tmp_path):
    may_keep(1)
    load("a")
    (tmp_path / "store" / "a" / "card.json").write_text("{}")
    load("a")  # what is loaded is what was verified
    load("b")
    with pytest.raises(BundleError, match=r"card\.json"):
        load("a")


def test_the_bound_leaves_room_below_the_memory_at_which_a_process_is_replaced(settings):
    assert memory.bound_bytes(replace(settings, warm_megabytes=300, child_megabytes=100), 2) == 300 * 1024**2
    assert memory.bound_bytes(replace(settings, child_megabytes=1000), 2) == 900 * 1024**2
    assert memory.bound_bytes(settings, 4) * 2 == memory.bound_bytes(settings, 2)


def test_memory_that_is_dropped_is_given_back():
    held = [bytearray(100_000) for _ in range(1000)]  # small enough to come from the heap that is kept
    full = memory.resident_bytes()
    held.clear()
    memory.give_back()
    assert memory.resident_bytes() < full - 50 * 10**6
