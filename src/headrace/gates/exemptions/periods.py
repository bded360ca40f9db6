"""Periods in which a mute applies: a season of each year, or single days."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Any

from headrace.core.clock import parse_day
from headrace.core.errors import DeclarationError

_MONTH_DAY = re.compile(r"[0-9]{2}-[0-9]{2}")
_LEAP_YEAR = "2024"  # has every day that a season can begin or end with


def _is_day_of_year(text: str) -> bool:
    try:
        date.fromisoformat(f"{_LEAP_YEAR}-{text}")
    except ValueError:
        return False
    return bool(_MONTH_DAY.fullmatch(text))


@dataclass(frozen=True)
class Season:
    """Season of each year, as MM-DD, both days included; it may span the end of the year."""

    first: str
    last: str

    def __post_init__(self) -> None:
        for text in (self.first, self.last):
            if not _is_day_of_year(text):
                raise DeclarationError(
                    f"{text!r} is not a day of the year",
                    where="--from and --to",
                    fix="write month and day as MM-DD, for example --from 12-20 --to 01-06",
                )

    def contains(self, day: str) -> bool:
        """Return True if an ISO day lies in the season."""
        month_day = day[5:]
        if self.first <= self.last:
            return self.first <= month_day <= self.last
        return month_day >= self.first or month_day <= self.last

    @property
    def words(self) -> str:
        return f"from {self.first} to {self.last} of each year"

    def document(self) -> dict[str, Any]:
        return {"season": [self.first, self.last]}


@dataclass(frozen=True)
class Days:
    """Days from `first` to `last`, as YYYY-MM-DD, both included."""

    first: str
    last: str

    def __post_init__(self) -> None:
        for text in (self.first, self.last):
            parse_day(text, "--on")
        if self.first > self.last:
            raise DeclarationError(
                f"the days are reversed: {self.first} is after {self.last}",
                where="--on",
                fix=f"--on {self.last}..{self.first}",
            )

    @classmethod
    def parse(cls, text: str) -> "Days":
        """Read `2026-12-24` or `2026-12-24..2026-12-26`."""
        first, _, last = text.partition("..")
        return cls(first, last or first)

    def contains(self, day: str) -> bool:
        """Return True if an ISO day is one of the days."""
        return self.first <= day <= self.last

    @property
    def words(self) -> str:
        return f"on {self.first}" if self.first == self.last else f"on {self.first} to {self.last}"

    def document(self) -> dict[str, Any]:
        return {"days": [self.first, self.last]}


def read_period(first: str | None, last: str | None, on: str | None) -> Season | Days | None:
    """Return the period of the options --from, --to and --on; None if there is none.

    Raises:
        DeclarationError: one end of the season is missing, or both a season and days are given.
    """
    if on and (first or last):
        raise DeclarationError(
            "a mute applies in a season or on days, not both",
            where="--on and --from",
            fix="use --from 12-20 --to 01-06, or --on 2026-12-24..2026-12-26",
        )
    if on:
        return Days.parse(on)
    if bool(first) != bool(last):
        raise DeclarationError(
            "the season has only one end",
            where="--from and --to",
            fix="name both days: --from 12-20 --to 01-06",
        )
    return Season(first, last) if first and last else None
