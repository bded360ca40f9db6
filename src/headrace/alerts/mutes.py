"""Mutes: periods in which messages wait, between two times or at certain hours of the day."""

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from headrace.alerts.model import VERDICTS, Condition
from headrace.core.clock import from_us, parse_iso, to_us
from headrace.core.declarations.strict_yaml import Key, Keys, Node, choice

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


MUTE = Keys((
    Key("why", "text", "Reason for the mute.", required=True),
    Key("tables", "list of tables", "Tables that it covers.", default="all"),
    Key("verdicts", f"list of {choice(VERDICTS)}", "Verdicts that it covers.", default="all"),
    Key("from", "ISO 8601 timestamp", "When it begins.", default="at once"),
    Key("until", "ISO 8601 timestamp", "When it ends. Required without `daily`."),
    Key("daily", "`HH:MM-HH:MM`", "Hours of each day, until the next day if the end is not later."),
    Key("days", f"list of {choice(DAYS)}", "Days on which `daily` begins.", default="all"),
    Key("zone", "IANA time zone", "Time zone of `daily` and `days`.", default="`UTC`"),
))  # fmt: skip


@dataclass(frozen=True)
class DailyHours:
    """Daily hours from `start` to `end` in `zone`; they end on the next day if `end` is not later.

    Attributes:
        days: days of the week (0 is Monday) on which the hours begin.
    """

    start: time
    end: time
    days: frozenset[int]
    zone: ZoneInfo

    def until(self, now: int) -> int | None:
        """Return the end (microseconds UTC) of the period that covers `now`; None without one."""
        local = from_us(now).astimezone(self.zone)
        for day in (local.date() - timedelta(1), local.date()):
            begins, ends = self._window(day)
            if day.weekday() in self.days and begins <= now < ends:
                return ends
        return None

    def _window(self, day: date) -> tuple[int, int]:
        last = day + timedelta(1) if self.end <= self.start else day
        begins = datetime.combine(day, self.start, self.zone)
        return to_us(begins), to_us(datetime.combine(last, self.end, self.zone))


@dataclass(frozen=True)
class AlertMute:
    """Period in which messages wait. Empty `tables` or `verdicts` cover all of them."""

    why: str
    tables: frozenset[str] = frozenset()
    verdicts: frozenset[str] = frozenset()
    first: int | None = None
    last: int | None = None
    hours: DailyHours | None = None

    def until(self, condition: Condition, now: int) -> int | None:
        """Return the time (microseconds UTC) until which messages wait; None if not muted."""
        if self.tables and condition.table not in self.tables:
            return None
        if self.verdicts and condition.verdict not in self.verdicts:
            return None
        if self.first is not None and now < self.first:
            return None
        if self.last is not None and now >= self.last:
            return None
        ends = self.last if self.hours is None else self.hours.until(now)
        return ends if self.last is None or ends is None else min(ends, self.last)


def read_mute(node: Node) -> AlertMute:
    """Read one entry of `mute`, which must have `until` or `daily`, so that it ends."""
    entry = node.entries(MUTE)
    if "daily" not in entry and "until" not in entry:
        raise node.error(
            "this mute has no end",
            fix="add `until` with a timestamp, or `daily` such as 22:00-07:00",
        )
    tables = entry["tables"].texts() if "tables" in entry else ()
    verdicts = [verdict.choose(VERDICTS) for verdict in entry["verdicts"].items()] if (
        "verdicts" in entry
    ) else ()  # fmt: skip
    return AlertMute(
        why=entry["why"].text(),
        tables=frozenset(tables),
        verdicts=frozenset(verdicts),
        first=_moment(entry["from"]) if "from" in entry else None,
        last=_moment(entry["until"]) if "until" in entry else None,
        hours=_hours(entry) if "daily" in entry else None,
    )


def _moment(node: Node) -> int:
    try:
        return parse_iso(node.text())
    except ValueError as error:
        raise node.error(
            f"{node.value!r} is not a timestamp", fix="write it as 2026-12-24T18:00:00Z"
        ) from error


def _hours(entry: "dict[str, Node]") -> DailyHours:
    match = _HOURS.fullmatch(entry["daily"].text())
    if match is None:
        raise entry["daily"].error("this is not a range of hours", fix="write them as 22:00-07:00")
    first, second, third, fourth = map(int, match.groups())
    days = [day.choose(DAYS) for day in entry["days"].items()] if "days" in entry else DAYS
    return DailyHours(
        start=time(first, second),
        end=time(third, fourth),
        days=frozenset(map(DAYS.index, days)),
        zone=_zone(entry["zone"]) if "zone" in entry else ZoneInfo("UTC"),
    )


def _zone(node: Node) -> ZoneInfo:
    try:
        return ZoneInfo(node.text())
    except (ValueError, OSError, KeyError) as error:
        raise node.error(
            f"unknown time zone {node.value!r}", fix="write a name such as Europe/Berlin"
        ) from error
