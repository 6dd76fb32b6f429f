"""What a card says of how good pictures look: taken as it was written, and not believed where it cannot be."""

import json
import random
from typing import Any

import pytest

from oddlot.appearance import APPEARANCE, PLACES, Reference, read_reference, sketch

REFERENCE = Reference(
    pictures=40, sketches={"brightness": (90.0, 100.5, 120.0)}, thumbnail=(1.0, *(0.0,) * (PLACES - 1)),
    nearest_limit=0.8, repeated=0.05, blank=0.0, blank_limit=2.0, unreadable=0.1,
)  # fmt: skip


def card(**changes: Any) -> dict[str, Any]:
    return {APPEARANCE: REFERENCE.to_dict() | changes}


def test_it_survives_the_card() -> None:
    assert read_reference(json.loads(json.dumps(card()))) == REFERENCE


@pytest.mark.parametrize("values", [None, {}, [], "x", 7, {APPEARANCE: None}, {APPEARANCE: []}, {APPEARANCE: {}}])
def test_a_card_without_one_has_none(values: Any) -> None:
    assert read_reference(values) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pictures", 0), ("pictures", True), ("pictures", 1.5), ("pictures", 10**30), ("sketches", []),
        ("thumbnail", [0.0]), ("thumbnail", ["0"] * PLACES), ("thumbnail", [float("nan")] * PLACES),
        ("nearest_limit", -1), ("nearest_limit", None), ("blank_limit", "2"), ("repeated", 1.5), ("blank", [0]),
        ("unreadable", float("inf")), ("thumbnail", [10**400] * PLACES),
    ],
)  # fmt: skip
def test_one_that_makes_no_sense_is_none(name: str, value: Any) -> None:
    assert read_reference(card(**{name: value})) is None


@pytest.mark.parametrize("values", [None, [], "x", [2, 1], [1, None], [1, "2"], [float("inf")], [0] * 202, {}])
def test_a_figure_that_makes_no_sense_is_left_out(values: Any) -> None:
    found = read_reference(card(sketches={"brightness": values, "contrast": [1, 2], "unknown": [1]}))
    assert found is not None
    assert found.sketches == {"contrast": (1.0, 2.0)}


def test_a_sketch_is_small_and_keeps_both_ends() -> None:
    values = [random.Random(0).gauss(0, 50) for _ in range(5000)]
    short = sketch(values)
    assert len(short) == 201
    assert (short[0], short[-1]) == (round(min(values), 2), round(max(values), 2))
    assert list(short) == sorted(short)
    assert sketch([3, 1, 2]) == (1, 2, 3)
    assert sketch([7]) == (7,)
