"""Due once on every day, in any time zone, whatever its clocks do."""

import datetime as dt
import os
import subprocess
import sys
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from oddlot.errors import OddlotError
from worker.due_times import DueTimes

ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "America/Nuuk",
    "America/Sao_Paulo", "Africa/Casablanca", "Antarctica/Troll", "Asia/Kolkata", "Asia/Tehran", "Pacific/Apia",
]  # fmt: skip
"""Among them gaps of half an hour and of two, at and across midnight, and one of a whole day."""
DAY, MINUTE = dt.timedelta(days=1), dt.timedelta(minutes=1)
FIRST, LAST = dt.date(1995, 1, 1), dt.date(2037, 12, 31)
LONG_AGO = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@cache
def days_of_change(zone: str) -> list[dt.date]:
    """The days around which the clocks of a zone are put forward or back."""
    days = [FIRST + n * DAY for n in range((LAST - FIRST).days)]
    offsets = [dt.datetime.combine(day, dt.time(12), ZoneInfo(zone)).utcoffset() for day in days]
    return [day for i, day in enumerate(days[1:-2], 1) if offsets[i - 1] != offsets[i + 1]]


@st.composite
def schedules(draw):
    zone = draw(st.sampled_from(ZONES))
    minute = draw(st.integers(0, 4 * 60) | st.integers(22 * 60, 24 * 60 - 1) | st.integers(0, 24 * 60 - 1))
    return DueTimes(dt.time(*divmod(minute, 60)), ZoneInfo(zone))


@st.composite
def days(draw, times):
    changes = days_of_change(times.zone.key)
    any_day = st.dates(FIRST, LAST)
    return draw(st.sampled_from(changes) | any_day if changes else any_day)


def looked_up(times: DueTimes, day: dt.date) -> dt.datetime:
    """The same by looking at the clock of the zone once a minute."""
    wanted = dt.datetime.combine(day, times.at)
    start = wanted.replace(tzinfo=dt.UTC) - 26 * 60 * MINUTE
    shown = [(start + n * MINUTE).astimezone(times.zone).replace(tzinfo=None) for n in range(52 * 60)]
    if wanted in shown:
        return start + shown.index(wanted) * MINUTE
    return start + next(n for n in range(1, len(shown)) if shown[n - 1] < wanted < shown[n]) * MINUTE


@settings(deadline=None, max_examples=150)
@given(st.data(), schedules())
def test_a_day_is_due_when_its_clock_first_shows_the_time_or_first_skips_it(data, times):
    day = data.draw(days(times))
    assert times.on(day) == looked_up(times, day)


@settings(deadline=None, max_examples=150)
@given(st.data(), schedules(), st.timedeltas(dt.timedelta(0), DAY))
def test_nothing_is_due_between_the_latest_and_the_following(data, times, later):
    moment = times.on(data.draw(days(times))) + later
    latest, following = times.latest(moment, since=LONG_AGO), times.following(moment)
    assert latest <= moment < following
    around = {times.on(times.local(moment).date() + n * DAY) for n in range(-3, 4)}
    assert sorted(around)[sorted(around).index(latest) + 1] == following


@settings(deadline=None, max_examples=150)
@given(st.data(), schedules())
def test_a_due_time_belongs_to_the_day_that_it_is_due_for(data, times):
    day = data.draw(days(times))
    assume(times.on(day) != times.on(day + DAY))  # a whole day was left out of the calendar
    assert times.day_of(times.on(day)) == day
    assert times.day_of(times.on(day) + MINUTE) == times.local(times.on(day) + MINUTE).date()


@settings(deadline=None, max_examples=100)
@given(schedules(), st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2030, 1, 1)), st.timedeltas(-3 * DAY, 3 * DAY))
def test_nothing_is_due_before_the_schedule_was_there(times, since, later):
    since = since.replace(tzinfo=dt.UTC)
    due = times.latest(since + later, since=since)
    first = times.following(since - dt.timedelta(microseconds=1))
    assert (due is None) == (since + later < first)
    assert due is None or since <= due <= since + later


@pytest.mark.parametrize(
    ("zone", "at", "day", "due"),
    [
        ("Europe/Berlin", "02:00", "2026-03-28", "2026-03-28T01:00"),
        ("Europe/Berlin", "02:00", "2026-03-29", "2026-03-29T01:00"),  # 02:00 to 03:00 does not exist: at 03:00
        ("Europe/Berlin", "02:59", "2026-03-29", "2026-03-29T01:00"),
        ("Europe/Berlin", "03:00", "2026-03-29", "2026-03-29T01:00"),
        ("Europe/Berlin", "02:30", "2026-10-25", "2026-10-25T00:30"),  # exists twice: the first, of summer time
        ("Australia/Lord_Howe", "02:15", "2026-10-04", "2026-10-03T15:30"),
        ("America/Nuuk", "23:30", "2026-03-28", "2026-03-29T01:00"),  # the gap ends at midnight
    ],
)
def test_on_days_when_the_clocks_change(zone, at, day, due):
    times = DueTimes.parse(at, zone)
    assert times.on(dt.date.fromisoformat(day)) == dt.datetime.fromisoformat(due).replace(tzinfo=dt.UTC)


def test_zones_are_known_where_the_machine_has_none_and_no_internet():
    program = "from worker.due_times import DueTimes; print(DueTimes.parse('02:00', 'Europe/Berlin').zone)"
    ran = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"PYTHONTZPATH": ""}, capture_output=True, text=True
    )
    assert ran.stdout == "Europe/Berlin\n", ran.stderr


@pytest.mark.parametrize("at", ["", "24:00", "2", "02:60", "02:00:00", " 02:00", "-2:00", "٠٢:٠٠", "02:00\n"])
def test_what_is_no_time_of_day_is_refused(at):
    with pytest.raises(OddlotError, match="is not a time of day: write hours and minutes"):
        DueTimes.parse(at, "UTC")


@pytest.mark.parametrize(
    "zone", ["", "Europe", "Mars/Base", "../../etc/passwd", "/etc/localtime", "\udcff", "x" * 5000]
)
def test_what_is_no_time_zone_is_refused(zone):
    with pytest.raises(OddlotError, match="there is no time zone"):
        DueTimes.parse("02:00", zone)
