"""Which checks a table's history supports: each with its limits, its reason and its record."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headrace.gates.drafting.limits import (
    Confirmed,
    Range,
    confirm,
    confirm_levels,
    confirm_never,
)
from headrace.gates.drafting.statistics import Floats, Series, Statistics
from headrace.gates.units import format_stored, in_units

_OFTEN = 5  # deliveries in which a level has to come to belong to a closed set
_ENOUGH = 20  # rows of a usual delivery that make its mean worth a limit


@dataclass(frozen=True)
class Asked:
    """What a draft should know.

    Attributes:
        key: the columns that tell rows apart.
        skip: columns with nothing to say, such as the time that everything is dated by.
        entities: columns of which new values are no news.
        required: columns of which the contract lets no value be missing.
        scales: decimals of columns that are stored as whole numbers.
        shadow: whether the checks are to start in shadow.
        least_margin: limits are at least this much wider than what was seen.
        deliveries: what a delivery is called.
        row_counts: whether a delivery's rows and means are worth limits: not of a sample.
        days: whether there is a delivery after the other, or one file that is all.
        domains: limits that no value of a column can leave, in its unit, and why.
        codes: numbers that name something, so that their mean says nothing.
        close_sets: whether texts that come again and again are all that may come.
    """

    key: tuple[str, ...] = ()
    skip: frozenset[str] = frozenset()
    entities: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    scales: Mapping[str, int] = field(default_factory=dict)
    shadow: bool = False
    least_margin: float = 0.0
    deliveries: str = "deliveries"
    row_counts: bool = True
    days: bool = True
    domains: Mapping[str, tuple[float, float, str]] = field(default_factory=dict)
    codes: frozenset[str] = frozenset()
    close_sets: bool = False


@dataclass(frozen=True)
class Draft:
    """One check as a suite has it, and what history says of it."""

    type: str
    kwargs: Mapping[str, Any]
    meta: Mapping[str, Any]
    severity: str
    record: Confirmed

    @property
    def about(self) -> tuple[str, tuple[str, ...]]:
        """Its type and columns."""
        column = self.kwargs.get("column")
        return self.type, (column,) if column else tuple(self.kwargs.get("column_list", ()))

    def document(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "kwargs": dict(self.kwargs),
            "severity": self.severity,
            "meta": dict(self.meta),
        }


@dataclass(frozen=True)
class Drafted:
    """Checks that later days confirm, and those that some of them contradict."""

    kept: tuple[Draft, ...]
    dropped: tuple[Draft, ...]


def draft_checks(found: Statistics, asked: Asked) -> Drafted:
    """All checks that the statistics suggest; only those are kept that no later day contradicts."""
    drafts = list(_Drafting(found, asked).all())
    kept = tuple(draft for draft in drafts if draft.record.holds)
    return Drafted(kept, tuple(draft for draft in drafts if not draft.record.holds))


class _Drafting:
    def __init__(self, found: Statistics, asked: Asked) -> None:
        self.found, self.asked = found, asked
        self.rows = np.array(found.rows, np.int64)

    def all(self) -> Iterator[Draft]:
        yield from self._table()
        for series in self.found.columns.values():
            if not any(series.present):
                continue
            in_key = series.name in self.asked.key
            if in_key or series.name in self.asked.skip:
                yield from self._domain(series)
            if series.name in self.asked.skip:
                continue
            if not in_key:
                yield from self._presence(series)
            if series.name in self.asked.entities:
                continue
            if series.family == "string":
                yield from self._text(series, in_key=in_key)
            elif series.family == "number" and not in_key:
                yield from self._number(series)

    def _table(self) -> Iterator[Draft]:
        if self.asked.row_counts:
            rows = self.rows.astype(np.float64)
            yield from self._between(
                "expect_table_row_count_to_be_between",
                {},
                Range(rows, rows, counts=True, whole=True),
                ("row_count", "critical", "", "rows"),
                floor=1,
            )
        if self.asked.key:
            compound = len(self.asked.key) > 1
            kind = (
                "expect_compound_columns_to_be_unique"
                if compound
                else "expect_column_values_to_be_unique"
            )
            about = (
                {"column_list": list(self.asked.key)} if compound else {"column": self.asked.key[0]}
            )
            record = confirm_never([bool(n) for n in self.found.repeated])
            yield self._made(kind, about, ("one_row_a_key", "critical", ""), record, "")

    def _presence(self, series: Series) -> Iterator[Draft]:
        """No value was ever missing; or never more than a share of them."""
        if series.name in self.asked.required:
            return
        present = np.array(series.present, np.int64)
        about = {"column": series.name}
        if (present == self.rows).all():
            record = confirm_never([False] * self.found.count)
            reason = f"None was missing in {self._seen()}."
            yield self._made(
                "expect_column_values_to_not_be_null",
                about,
                (f"{series.name}_is_there", "critical", "quarantine"),
                record,
                reason,
            )
        elif self.asked.row_counts and self._usual() >= _ENOUGH:
            yield from self._share_present(series.name, present / np.maximum(self.rows, 1))

    def _share_present(self, name: str, share: Floats) -> Iterator[Draft]:
        seen = Range(share, np.ones_like(share), least_spread=0.02)
        record = confirm(seen, self.found.count, self.asked.least_margin)
        low = seen.limits(record.margin or 0)[0]
        if low > 0:
            words = f"Between {share.min():.3g} and {share.max():.3g} of the values were there"
            yield self._made(
                "expect_column_proportion_of_non_null_values_to_be_between",
                {"column": name, "min_value": low},
                (f"{name}_present", "warning", ""),
                record,
                f"{words} in {self._seen()}.",
            )

    def _text(self, series: Series, *, in_key: bool) -> Iterator[Draft]:
        levels = series.all_levels
        few = levels and len(levels) * 5 <= int(self.rows.sum())
        if few and levels and series.levels is not None:
            record, reason = confirm_levels(series.levels), "a new one may be real"
            called = (f"{series.name}_known", "warning", "")
            if self.asked.close_sets and record.holds and self._closed(series.levels):
                called = (f"{series.name}_known", "critical", "quarantine")
                reason = "each came again and again: another is a mistake until it is added"
            yield self._made(
                "expect_column_values_to_be_in_set",
                {"column": series.name, "value_set": levels},
                called,
                record,
                f"These came in {self._seen()}; {reason}.",
            )
        if self.asked.row_counts and self.asked.days and self._usual() >= _ENOUGH and not in_key:
            distinct = np.array(series.distinct, np.float64)
            if distinct.max() > 1 and (few or distinct.mean() * 3 < self._usual()):
                yield from self._between(
                    "expect_column_unique_value_count_to_be_between",
                    {"column": series.name},
                    Range(distinct, distinct, counts=True, whole=True),
                    (f"levels_{series.name}", "warning", "", "different values"),
                    floor=1,
                )
        if not few and self.asked.days:
            yield from self._lengths(series)

    def _closed(self, levels: list[frozenset[str]]) -> bool:
        """Return True if each of some levels came on many days, so that none is rare."""
        counted = Counter(level for delivery in levels for level in delivery)
        return min(counted.values()) >= max(_OFTEN, 0.05 * len(levels))

    def _lengths(self, series: Series) -> Iterator[Draft]:
        least, most = np.array(series.least), np.array(series.most)
        if np.nanmin(least) != np.nanmax(most):
            return
        length = int(np.nanmin(least))
        record = confirm_never([False] * self.found.count)
        yield self._made(
            "expect_column_value_lengths_to_equal",
            {"column": series.name, "value": length},
            (f"{series.name}_length", "critical", "quarantine"),
            record,
            f"Every value in {self._seen()} has {length} characters.",
        )

    def _number(self, series: Series) -> Iterator[Draft]:
        name, whole = series.name, series.whole
        seen = Range(np.array(series.least), np.array(series.most), 0.2, whole=whole)
        domain = list(self._domain(series))
        yield from domain
        if not domain:
            yield from self._between(
                "expect_column_values_to_be_between",
                {"column": name},
                seen,
                (name, "critical", "quarantine", "values"),
            )
        if name in self.asked.codes:
            return
        varies = series.least != series.most  # else it is a part of the calendar, or like one
        if self.asked.row_counts and self.asked.days and varies and self._usual() >= _ENOUGH:
            mean = np.array(series.mean)
            yield from self._between(
                "expect_column_mean_to_be_between",
                {"column": name},
                Range(mean, mean),
                (f"mean_{name}", "warning", "", "means"),
            )

    def _domain(self, series: Series) -> Iterator[Draft]:
        """Limits that the column's domain sets, if every value that was seen keeps them."""
        if series.name not in self.asked.domains or series.family != "number":
            return
        low, high, reason = self.asked.domains[series.name]
        unit = 10 ** self.asked.scales.get(series.name, 0)
        if np.nanmin(series.least) < low * unit or np.nanmax(series.most) > high * unit:
            return
        limits = (int(low), int(high)) if series.whole else (low, high)
        yield self._made(
            "expect_column_values_to_be_between",
            {"column": series.name, "min_value": limits[0], "max_value": limits[1]},
            (series.name, "critical", "quarantine"),
            confirm_never([False] * self.found.count),
            reason,
        )

    # one check

    def _between(
        self,
        kind: str,
        about: dict[str, Any],
        seen: Range,
        called: tuple[str, str, str, str],
        floor: float | None = None,
    ) -> Iterator[Draft]:
        """Limits around what was seen; `called` is id, severity, action, and what is counted."""
        if not seen.known:
            return
        record = confirm(seen, self.found.count, self.asked.least_margin)
        low, high = seen.limits(record.margin or 0)
        # So few rows or values are a part of a delivery, however much their number varies.
        low = low if floor is None else max(low, floor, float(np.nanmin(seen.low)) // 4)
        if seen.whole:
            low, high = int(low), int(max(high, low + 1))
        name, severity, action, what = called
        least, most = float(np.nanmin(seen.low)), float(np.nanmax(seen.high))
        scale = self.asked.scales.get(about.get("column", ""), 0) if what != "rows" else 0
        told = list(dict.fromkeys([_shown(least, seen, scale), _shown(most, seen, scale)]))
        words = f"{what} {' to '.join(told)} in {self._seen()}".capitalize()
        limits = {"min_value": low, "max_value": high}
        kwargs = {**about, **{key: in_units(one, scale) for key, one in limits.items()}}
        yield self._made(kind, kwargs, (name, severity, action), record, words + ".")

    def _made(
        self,
        kind: str,
        kwargs: dict[str, Any],
        called: tuple[str, str, str],
        record: Confirmed,
        reason: str,
    ) -> Draft:
        name, severity, action = called
        meta: dict[str, Any] = {"id": name}
        if action:
            meta["action"] = action
        if self.asked.shadow:
            meta["shadow"] = True
        told = " ".join(part for part in (reason, self._record(record)) if part)
        if told:
            meta["reason"] = told
        return Draft(kind, kwargs, meta, severity, record)

    def _record(self, record: Confirmed) -> str:
        if not record.confirmed_on:
            return ""
        margin = f"Margin {record.margin:g} of the range; " if record.margin is not None else ""
        later = f"{record.confirmed_on} later {self.asked.deliveries}"
        return f"{margin}{len(record.failed)} of {later} would have failed."

    def _seen(self) -> str:
        if not self.asked.days:
            return f"{int(self.rows.sum()):,} rows"
        if self.found.count == 1:
            return f"one delivery of {int(self.rows[0]):,} rows"
        return f"{self.found.count:,} {self.asked.deliveries}"

    def _usual(self) -> float:
        return float(np.median(self.rows)) if len(self.rows) else 0.0


def _shown(value: float, seen: Range, scale: int) -> str:
    if scale:
        return format_stored(int(value) if seen.whole else value, scale)
    return f"{int(value):,}" if seen.whole else format_stored(value)
