"""Checks drafted from a table's history, with limits, reasons and their record on past data."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headrace.gates.contract_units import format_stored, in_units
from headrace.gates.drafting.limits import (
    Confirmed,
    Range,
    confirm,
    confirm_levels,
    confirm_never,
)
from headrace.gates.drafting.statistics import Floats, Series, Statistics

_OFTEN = 5  # minimum number of deliveries with a category that belongs to a closed set
_ENOUGH = 20  # rows that a typical delivery needs before its mean gets limits


@dataclass(frozen=True)
class DraftOptions:
    """Options of a draft.

    Attributes:
        key: the columns that identify rows.
        skip: columns that get no checks, such as the event time.
        entities: columns in which new values are normal.
        required: columns in which the contract allows no missing value.
        scales: decimal digits of columns that are stored as scaled integers.
        shadow: True if the checks start in shadow mode.
        least_margin: smallest margin of limits beyond the observed range, in multiples of it.
        deliveries: the plural noun for deliveries in texts.
        row_counts: True if row counts and means get limits; False if the rows are a sample.
        days: True for deliveries over time; False for a single file.
        domains: {column: (lowest and highest possible value in the contract's unit, reason)}.
        codes: numeric columns that hold identifiers, whose mean has no meaning.
        close_sets: True if texts that recur often are drafted as a closed set, whose check
            quarantines rows with other values.
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
class CheckDraft:
    """One drafted check, and its record on past deliveries."""

    type: str
    kwargs: Mapping[str, Any]
    meta: Mapping[str, Any]
    severity: str
    record: Confirmed

    @property
    def subject(self) -> tuple[str, tuple[str, ...]]:
        """Type and columns of the check."""
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
    """Drafted checks: those that no later delivery failed, and those that some delivery failed."""

    accepted: tuple[CheckDraft, ...]
    dropped: tuple[CheckDraft, ...]


def draft_checks(statistics: Statistics, options: DraftOptions) -> Drafted:
    """Draft all checks that the statistics suggest; accept those that no later delivery failed."""
    drafts = list(_Drafting(statistics, options).all())
    accepted = tuple(draft for draft in drafts if draft.record.is_confirmed)
    return Drafted(accepted, tuple(draft for draft in drafts if not draft.record.is_confirmed))


class _Drafting:
    def __init__(self, statistics: Statistics, options: DraftOptions) -> None:
        self.statistics, self.options = statistics, options
        self.rows = np.array(statistics.rows, np.int64)

    def all(self) -> Iterator[CheckDraft]:
        yield from self._table()
        for series in self.statistics.columns.values():
            if not any(series.present):
                continue
            in_key = series.name in self.options.key
            if in_key or series.name in self.options.skip:
                yield from self._domain(series)
            if series.name in self.options.skip:
                continue
            if not in_key:
                yield from self._presence(series)
            if series.name in self.options.entities:
                continue
            if series.family == "string":
                yield from self._text(series, in_key=in_key)
            elif series.family == "number" and not in_key:
                yield from self._number(series)

    def _table(self) -> Iterator[CheckDraft]:
        if self.options.row_counts:
            rows = self.rows.astype(np.float64)
            yield from self._between(
                "expect_table_row_count_to_be_between",
                {},
                Range(rows, rows, counts=True, integral=True),
                ("row_count", "critical", "", "rows"),
                floor=1,
            )
        if self.options.key:
            compound = len(self.options.key) > 1
            kind = (
                "expect_compound_columns_to_be_unique"
                if compound
                else "expect_column_values_to_be_unique"
            )
            kwargs = (
                {"column_list": list(self.options.key)}
                if compound
                else {"column": self.options.key[0]}
            )
            record = confirm_never([bool(n) for n in self.statistics.repeated])
            yield self._draft(kind, kwargs, ("one_row_a_key", "critical", ""), record, "")

    def _presence(self, series: Series) -> Iterator[CheckDraft]:
        """Draft a check that no value is null or, if some were, a lower limit of the share."""
        if series.name in self.options.required:
            return
        present = np.array(series.present, np.int64)
        kwargs = {"column": series.name}
        if (present == self.rows).all():
            record = confirm_never([False] * self.statistics.count)
            reason = f"No value was missing in {self._history_text()}."
            yield self._draft(
                "expect_column_values_to_not_be_null",
                kwargs,
                (f"{series.name}_is_there", "critical", "quarantine"),
                record,
                reason,
            )
        elif self.options.row_counts and self._usual() >= _ENOUGH:
            yield from self._share_present(series.name, present / np.maximum(self.rows, 1))

    def _share_present(self, name: str, share: Floats) -> Iterator[CheckDraft]:
        observed = Range(share, np.ones_like(share), least_spread=0.02)
        record = confirm(observed, self.statistics.count, self.options.least_margin)
        low = observed.limits(record.margin or 0)[0]
        if low > 0:
            words = f"Between {share.min():.3g} and {share.max():.3g} of the values were present"
            yield self._draft(
                "expect_column_proportion_of_non_null_values_to_be_between",
                {"column": name, "min_value": low},
                (f"{name}_present", "warning", ""),
                record,
                f"{words} in {self._history_text()}.",
            )

    def _text(self, series: Series, *, in_key: bool) -> Iterator[CheckDraft]:
        levels = series.all_levels
        few = levels and len(levels) * 5 <= int(self.rows.sum())
        if few and levels and series.levels is not None:
            record, reason = confirm_levels(series.levels), ""
            called = (f"{series.name}_known", "warning", "")
            if self.options.close_sets and record.is_confirmed and self._closed(series.levels):
                called = (f"{series.name}_known", "critical", "quarantine")
                reason = f", each in at least {self._rarest(series.levels):,} of them"
            yield self._draft(
                "expect_column_values_to_be_in_set",
                {"column": series.name, "value_set": levels},
                called,
                record,
                f"These {len(levels)} values occurred in {self._history_text()}{reason}.",
            )
        if (
            self.options.row_counts
            and self.options.days
            and self._usual() >= _ENOUGH
            and not in_key
        ):
            distinct = np.array(series.distinct, np.float64)
            if distinct.max() > 1 and (few or distinct.mean() * 3 < self._usual()):
                yield from self._between(
                    "expect_column_unique_value_count_to_be_between",
                    {"column": series.name},
                    Range(distinct, distinct, counts=True, integral=True),
                    (f"levels_{series.name}", "warning", "", "different values"),
                    floor=1,
                )
        if not few and self.options.days:
            yield from self._lengths(series)

    def _closed(self, levels: list[frozenset[str]]) -> bool:
        """Return True if every category came in many deliveries, so that none is rare."""
        return self._rarest(levels) >= max(_OFTEN, 0.05 * len(levels))

    def _rarest(self, levels: list[frozenset[str]]) -> int:
        """Return the number of deliveries with the rarest category."""
        return min(Counter(level for delivery in levels for level in delivery).values())

    def _lengths(self, series: Series) -> Iterator[CheckDraft]:
        shortest, longest = np.array(series.minimum), np.array(series.maximum)
        if np.nanmin(shortest) != np.nanmax(longest):
            return
        length = int(np.nanmin(shortest))
        record = confirm_never([False] * self.statistics.count)
        yield self._draft(
            "expect_column_value_lengths_to_equal",
            {"column": series.name, "value": length},
            (f"{series.name}_length", "critical", "quarantine"),
            record,
            f"Every value in {self._history_text()} has {length} characters.",
        )

    def _number(self, series: Series) -> Iterator[CheckDraft]:
        name, integral = series.name, series.integral
        observed = Range(np.array(series.minimum), np.array(series.maximum), 0.2, integral=integral)
        domain = list(self._domain(series))
        yield from domain
        if not domain:
            yield from self._between(
                "expect_column_values_to_be_between",
                {"column": name},
                observed,
                (name, "critical", "quarantine", "values"),
            )
        if name in self.options.codes:
            return
        varies = series.minimum != series.maximum  # constant in a delivery: likely a date part
        if self.options.row_counts and self.options.days and varies and self._usual() >= _ENOUGH:
            mean = np.array(series.mean)
            yield from self._between(
                "expect_column_mean_to_be_between",
                {"column": name},
                Range(mean, mean),
                (f"mean_{name}", "warning", "", "means"),
            )

    def _domain(self, series: Series) -> Iterator[CheckDraft]:
        """Draft the limits of the column's domain, if all observed values are within them."""
        if series.name not in self.options.domains or series.family != "number":
            return
        low, high, reason = self.options.domains[series.name]
        unit = 10 ** self.options.scales.get(series.name, 0)
        if np.nanmin(series.minimum) < low * unit or np.nanmax(series.maximum) > high * unit:
            return
        limits = (int(low), int(high)) if series.integral else (low, high)
        yield self._draft(
            "expect_column_values_to_be_between",
            {"column": series.name, "min_value": limits[0], "max_value": limits[1]},
            (series.name, "critical", "quarantine"),
            confirm_never([False] * self.statistics.count),
            reason,
        )

    # one check

    def _between(
        self,
        kind: str,
        target: dict[str, Any],
        observed: Range,
        called: tuple[str, str, str, str],
        floor: float | None = None,
    ) -> Iterator[CheckDraft]:
        """Draft limits around an observed range.

        `called` is the check's id, severity and action, and a noun for the observed figure;
        `floor` is the smallest value of the lower limit.
        """
        if not observed.has_values:
            return
        record = confirm(observed, self.statistics.count, self.options.least_margin)
        low, high = observed.limits(record.margin or 0)
        # A count below a quarter of the smallest past count means an incomplete delivery.
        low = low if floor is None else max(low, floor, float(np.nanmin(observed.low)) // 4)
        if observed.integral:
            low, high = int(low), int(max(high, low + 1))
        name, severity, action, what = called
        minimum, maximum = float(np.nanmin(observed.low)), float(np.nanmax(observed.high))
        scale = self.options.scales.get(target.get("column", ""), 0) if what != "rows" else 0
        ends = list(
            dict.fromkeys(
                [_formatted(minimum, observed, scale), _formatted(maximum, observed, scale)]
            )
        )
        words = f"{what} {' to '.join(ends)} in {self._history_text()}".capitalize()
        limits = {"min_value": low, "max_value": high}
        kwargs = {**target, **{key: in_units(limit, scale) for key, limit in limits.items()}}
        yield self._draft(kind, kwargs, (name, severity, action), record, words + ".")

    def _draft(
        self,
        kind: str,
        kwargs: dict[str, Any],
        called: tuple[str, str, str],
        record: Confirmed,
        reason: str,
    ) -> CheckDraft:
        name, severity, action = called
        meta: dict[str, Any] = {"id": name}
        if action:
            meta["action"] = action
        if self.options.shadow:
            meta["shadow"] = True
        text = " ".join(part for part in (reason, self._record(record)) if part)
        if text:
            meta["reason"] = text
        return CheckDraft(kind, kwargs, meta, severity, record)

    def _record(self, record: Confirmed) -> str:
        if not record.confirmed_on:
            return "Untested: the history is too short." if self.options.days else ""
        margin = f"Margin {record.margin:g} of the range; " if record.margin is not None else ""
        later = f"{record.confirmed_on} later {self.options.deliveries}"
        return f"{margin}{len(record.failed)} of {later} would have failed."

    def _history_text(self) -> str:
        if not self.options.days:
            return f"{int(self.rows.sum()):,} rows"
        if self.statistics.count == 1:
            return f"one delivery of {int(self.rows[0]):,} rows"
        rows = int(self.rows.sum())
        return f"the {rows:,} rows of {self.statistics.count:,} {self.options.deliveries}"

    def _usual(self) -> float:
        return float(np.median(self.rows)) if len(self.rows) else 0.0


def _formatted(value: float, observed: Range, scale: int) -> str:
    if scale:
        return format_stored(int(value) if observed.integral else value, scale)
    return f"{int(value):,}" if observed.integral else format_stored(value)
