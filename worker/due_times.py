"""When a schedule is due: once on every day of its time zone's calendar, whatever the clocks there do.

On a day on which they skip its time it is due at the first moment after the gap; where its time comes twice, at the
first.
"""

import datetime as dt
import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from oddlot.errors import OddlotError

_DAY = dt.timedelta(days=1)
_SECOND = dt.timedelta(seconds=1)
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)


@dataclass(frozen=True)
class DueTimes:
    """A time of day in a time zone. All moments that go in and come out are aware; those that come out are in UTC."""

    at: dt.time
    zone: ZoneInfo

    @classmethod
    def parse(cls, at: str, zone: str) -> "DueTimes":
        """Of `02:00` and `Europe/Berlin`. Raises OddlotError."""
        match = _TIME.fullmatch(at)
        if match is None:
            raise OddlotError(f"{at!r} is not a time of day: write hours and minutes, as 02:00 or 22:30")
        try:
            return cls(dt.time(int(match[1]), int(match[2])), ZoneInfo(zone))
        except (KeyError, ValueError, OSError):  # not there; not a name but a path; a folder of zones
            raise OddlotError(f"there is no time zone {zone!r}: name one as Europe/Berlin or UTC") from None

    def on(self, day: dt.date) -> dt.datetime:
        """The moment at which that day is due."""
        wanted = dt.datetime.combine(day, self.at)
        due = self._utc(wanted)
        if self._wall(due) == wanted:
            return due
        # In a gap. Read with the offset after it, the time lies before the change; with the one before it, after.
        early = self._utc(wanted.replace(fold=1))
        after = due.astimezone(self.zone).utcoffset()
        while due - early > _SECOND:
            middle = early + (due - early) // 2
            middle = middle.replace(microsecond=0)
            if middle.astimezone(self.zone).utcoffset() == after:
                due = middle
            else:
                early = middle
        return due

    def latest(self, moment: dt.datetime, *, since: dt.datetime) -> dt.datetime | None:
        """The last due time up to and with `moment`; None where that was before `since`."""
        day = self._wall(moment).date() + _DAY
        while (due := self.on(day)) > moment:
            day -= _DAY
        return due if due >= since else None

    def following(self, moment: dt.datetime) -> dt.datetime:
        """The first due time after `moment`."""
        day = self._wall(moment).date() - _DAY
        while (due := self.on(day)) <= moment:
            day += _DAY
        return due

    def day_of(self, moment: dt.datetime) -> dt.date:
        """The day that is due at `moment`, or, where none is, the local day.

        A gap can end on the day after the one whose time it skipped.
        """
        today = self._wall(moment).date()
        return next((day for day in (today, today - _DAY) if self.on(day) == moment), today)

    def local(self, moment: dt.datetime) -> dt.datetime:
        """The moment on the clocks of the zone."""
        return moment.astimezone(self.zone)

    def _utc(self, local: dt.datetime) -> dt.datetime:
        return local.replace(tzinfo=self.zone).astimezone(dt.UTC)

    def _wall(self, moment: dt.datetime) -> dt.datetime:
        return self.local(moment).replace(tzinfo=None)
