"""Dates in folders: filled in for a day, or refused when they are written."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddlot.errors import OddlotError
from worker import folder_pattern

DAY = dt.date(2026, 3, 1)


@pytest.mark.parametrize(
    ("pattern", "folder"),
    [
        ("/data/line3", "/data/line3"),
        ("/data/{yesterday:%Y-%m-%d}", "/data/2026-02-28"),
        ("/data/{today:%Y/%m/%d}/top", "/data/2026/03/01/top"),
        ("/data/{today:%y%j}-{yesterday:%d.%m.}", "/data/26060-28.02."),
        ("/data/{today:W%V of %G}", "/data/W09 of 2026"),
        ("/data/100%/{today:%d%%}", "/data/100%/01%"),
        ("/data/Größe \udcff/{today:é%d\udcff}", "/data/Größe \udcff/é01\udcff"),
    ],
)
def test_dates_are_filled_in(pattern, folder):
    folder_pattern.check(pattern)
    assert folder_pattern.folder_on(pattern, DAY) == folder


@pytest.mark.parametrize(
    "pattern",
    [
        "/data/{now:%Y}", "/data/{today}", "/data/{today:}", "/data/{}", "/data/{", "/data/}", "/data/{{today:%Y}}",
        "/data/{today:%Y", "/data/today:%Y}", "/data/{0.__class__}", "/data/{today.year}", "/data/{TODAY:%Y}",
        "/data/{tomorrow:%Y}", "/data/{yesterday!r:%Y}",
    ],
)  # fmt: skip
def test_anything_else_in_braces_is_refused(pattern):
    with pytest.raises(OddlotError, match="braces may only hold a day and its format"):
        folder_pattern.check(pattern)


@pytest.mark.parametrize("directive", ["%H", "%", "%s", "%-d", "%\n", "%c", "%Ö"])
def test_what_is_no_part_of_a_date_is_refused(directive):
    with pytest.raises(OddlotError, match="is no part of a date"):
        folder_pattern.check(f"/data/{{today:{directive}}}")


@given(st.text(st.sampled_from("{}:%YmdHtodayesr/!.0 "), max_size=30), st.dates())
def test_every_pattern_is_refused_or_filled_in_without_braces(pattern, day):
    try:
        folder_pattern.check(pattern)
    except OddlotError:
        return
    assert not {"{", "}"} & set(folder_pattern.folder_on(pattern, day))
