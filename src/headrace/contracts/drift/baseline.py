"""Baseline of a batch: the merged profiles of the batches before it."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.contracts.drift.batch_view import Ints
from headrace.contracts.drift.profile import BatchProfile

WINDOW = 42  # batches; six weeks if they are daily
MOST_KEYS = 200_000
Array = Any


@dataclass
class Pool:
    """Values of a column over the window, ascending, each with its count and number of batches."""

    values: Array
    counts: Ints
    batches: Ints
    nulls: int = 0
    coarse: int = 0  # number of profiles in the window whose values are rounded

    @property
    def total(self) -> int:
        return int(self.counts.sum())


@dataclass
class LastValues:
    """Last value of a column for each key; `hashes` are the hashed keys, ascending."""

    hashes: Ints
    values: Array


@dataclass
class Baseline:
    """Merged profiles of up to `WINDOW` batches, added in the order of their partitions."""

    window: deque[BatchProfile] = field(default_factory=deque)
    pools: dict[str, Pool] = field(default_factory=dict)
    last: dict[str, LastValues] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    _marks: dict[str, Array] = field(default_factory=dict)
    _hours: dict[str, "HourProfile"] = field(default_factory=dict)
    rows_seen: Pool = field(default_factory=lambda: _empty(np.int64))  # hashes of whole rows

    @property
    def batches(self) -> int:
        return len(self.window)

    @property
    def last_slot(self) -> str:
        return self.window[-1].slot if self.window else ""

    def add(self, profile: BatchProfile) -> None:
        self.window.append(profile)
        self._marks, self._hours = {}, {}
        for name, summary in profile.columns.items():
            pool = self.pools.setdefault(name, _empty(summary.values.dtype))
            _merge(pool, summary.values, summary.counts)
            pool.nulls += summary.nulls
            pool.coarse += summary.coarse
        for label, keyed in profile.keyed.items():
            self._remember(label, keyed.hashes, keyed.values)
        self.names.update(profile.names)
        _merge(self.rows_seen, profile.hashes, np.ones(len(profile.hashes), np.int64))
        if len(self.window) > WINDOW:
            self._drop(self.window.popleft())

    def _drop(self, profile: BatchProfile) -> None:
        for name, summary in profile.columns.items():
            pool = self.pools[name]
            _remove(pool, summary.values, summary.counts)
            pool.nulls -= summary.nulls
            pool.coarse -= summary.coarse
        _remove(self.rows_seen, profile.hashes, np.ones(len(profile.hashes), np.int64))

    def _remember(self, label: str, hashes: Ints, values: Array) -> None:
        if label not in self.last:
            self.last[label] = LastValues(hashes, values)
            return
        last = self.last[label]
        places = np.searchsorted(last.hashes, hashes)
        inside = np.minimum(places, max(len(last.hashes) - 1, 0))
        matching = (
            last.hashes[inside] == hashes if len(last.hashes) else np.zeros(len(hashes), bool)
        )
        merged = last.values.copy()
        merged[inside[matching]] = values[matching]
        new = ~matching
        last.hashes = np.insert(last.hashes, places[new], hashes[new])
        last.values = np.insert(merged, places[new], values[new])
        if len(last.hashes) > MOST_KEYS:  # too many keys: they hardly repeat, so forget them
            last.hashes, last.values = last.hashes[:0], last.values[:0]

    def marks(self, name: str) -> Array:
        """Return one mark's values in the window's batches, float64, oldest first."""
        if not self._marks:
            by_mark: dict[str, list[float]] = {}
            for profile in self.window:
                for mark, value in profile.marks.items():
                    by_mark.setdefault(mark, []).append(value)
            self._marks = {mark: np.array(values) for mark, values in by_mark.items()}
        return self._marks.get(name, _NO_MARKS)

    def hours(self, what: str) -> "HourProfile":
        """Return rows by hour of the partition, by event time or known-at ("event", "known")."""
        if what not in self._hours:
            self._hours[what] = hours_of([p.hours.get(what, {}) for p in self.window])
        return self._hours[what]


_NO_MARKS = np.empty(0)


@dataclass(frozen=True)
class HourProfile:
    """Rows by hour of the partition, over the batches of a window.

    Attributes:
        batches: {hour: number of batches with rows in it}.
        shares: {hour: mean share of a batch's rows}.
        window: {hour: rows} of each batch.
    """

    batches: dict[int, int]
    shares: dict[int, float]
    window: list[Mapping[int, int]]

    @cached_property
    def minimum(self) -> dict[int, int]:
        """Return the lowest row count of each hour, ignoring the lowest 5 % of batches.

        Hours whose lowest count is 0 are omitted.
        """
        rare = len(self.window) // 20  # number of batches to ignore
        counted = {hour: sorted(self._rows(hour)) for hour in self.batches}
        return {hour: rows[rare] for hour, rows in counted.items() if rows[rare] > 0}

    @cached_property
    def mean(self) -> dict[int, float]:
        """Return the mean row count of each hour over the window's batches."""
        return {hour: sum(self._rows(hour)) / len(self.window) for hour in self.batches}

    def _rows(self, hour: int) -> Iterator[int]:
        return (counts.get(hour, 0) for counts in self.window)


def hours_of(window: list[Mapping[int, int]]) -> HourProfile:
    batches: dict[int, int] = {}
    shares: dict[int, float] = {}
    for counts in window:
        total = sum(counts.values()) or 1
        for hour, count in counts.items():
            batches[hour] = batches.get(hour, 0) + 1
            shares[hour] = shares.get(hour, 0.0) + count / total / len(window)
    return HourProfile(batches, shares, window)


def _empty(kind: npt.DTypeLike) -> Pool:
    none = np.empty(0, np.int64)
    return Pool(np.empty(0, kind), none, none)


def _remove(pool: Pool, values: Array, counts: Ints) -> None:
    places = np.searchsorted(pool.values, values)
    pool.counts[places] -= counts
    pool.batches[places] -= 1
    occupied = pool.batches > 0
    pool.values, pool.counts = pool.values[occupied], pool.counts[occupied]
    pool.batches = pool.batches[occupied]


def _merge(pool: Pool, values: Array, counts: Ints) -> None:
    places = np.asarray(np.searchsorted(pool.values, values))
    inside = np.minimum(places, max(len(pool.values) - 1, 0))
    matching = pool.values[inside] == values if len(pool.values) else np.zeros(len(values), bool)
    pool.counts = pool.counts.copy()
    pool.batches = pool.batches.copy()
    pool.counts[inside[matching]] += counts[matching]
    pool.batches[inside[matching]] += 1
    new = ~matching
    pool.values = np.insert(pool.values, places[new], values[new])
    pool.counts = np.insert(pool.counts, places[new], counts[new])
    pool.batches = np.insert(pool.batches, places[new], 1)


def reference_of(profiles: Iterable[BatchProfile]) -> Baseline:
    reference = Baseline()
    for profile in profiles:
        reference.add(profile)
    return reference
