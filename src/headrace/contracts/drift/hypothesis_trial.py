"""Trial of a hypothesis: undo the supposed change, and test whether the batch is usual again."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
import pyarrow as pa

from headrace.contracts.drift.baseline import Baseline
from headrace.contracts.drift.batch_view import HOUR, BatchView, Bools
from headrace.contracts.drift.fit_scores import (
    FitScores,
    Slack,
    badness,
    fit,
    fit_columns,
    fit_rules,
    time_inputs,
)
from headrace.contracts.drift.statistics import statistics_of
from headrace.contracts.drift.view_reader import timed
from headrace.core.clock import from_us, parse_iso

RESIDUE = 0.25  # greatest share of the misfits that may remain after an explanation
_WEEK = 7
T = TypeVar("T")


@dataclass(frozen=True)
class HypothesisTrial:
    """Result of trying a hypothesis.

    Attributes:
        before, after: misfits beyond the usual, in rows, before and after undoing the change.
        misfits_before, usual: all misfits of sharp marks, before and after undoing the change.
    """

    before: float
    after: float
    misfits_before: int
    usual: int

    @property
    def gain(self) -> float:
        return self.before - self.after

    @property
    def explains(self) -> bool:
        usual_again = self.before > 0.5 and self.after <= RESIDUE * self.before
        return usual_again and (self.usual < self.misfits_before or self.misfits_before == 0)

    @property
    def rank(self) -> float:
        """Return the rank among explanations: the gain, with remaining misfits as tie-breaker."""
        return self.gain - self.usual / 100

    @property
    def evidence(self) -> dict[str, float]:
        return {"misfits": round(self.before, 1), "left": round(self.after, 1)}

    @property
    def words(self) -> str:
        return f"misfits with the batches before fall from {self.before:.0f} to {self.after:.0f}."


@dataclass(frozen=True, eq=False)
class DriftCase:
    """Batch under examination, with its scores and its misfits beyond the usual.

    Attributes:
        text: the delivered text of every column, declared or not, if the contract rejects the
            batch.
        notes: what was not examined, with reasons.
    """

    look: BatchView
    reference: Baseline
    text: Mapping[str, pa.Array] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def guarded(self, name: str, ask: Callable[[], T], otherwise: T) -> T:
        """Return `ask()`; if it raises, add a note and return `otherwise`."""
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                return ask()
        except Exception as error:  # noqa: BLE001  # the detector failed, not the data
            why = str(error).partition("\n")[0]
            note = f"{name} failed: {type(error).__name__}: {why}; it was not considered"
            if note not in self.notes:
                self.notes.append(note)
            return otherwise

    @cached_property
    def fit(self) -> FitScores:
        return fit(self.look, self.reference)

    @cached_property
    def statistics(self) -> dict[str, float]:
        """Return the statistics of the batch, as in `statistics_of`."""
        return statistics_of(self.look)

    @cached_property
    def excess(self) -> dict[str, float]:
        """Return {mark: misfits beyond the usual, in rows}."""
        excess = badness(self.fit, self.reference, self.look.rows)
        return excess | dict.fromkeys(self.without(self.look), float(self.look.rows))

    @cached_property
    def calendar(self) -> frozenset[str]:
        """Return the columns that hold the year, the month or the day of the partition.

        A column holds a part if it did so in the batches of the last week and in this one.
        """
        if self.look.start is None or not self.reference.window:
            return frozenset()
        names = set()
        for column in self.look.columns.values():
            if column.kind == "number":
                parts = date_parts(np.unique(column.values[column.present]), self.look.start)
                for profile in list(self.reference.window)[-_WEEK:]:
                    past = profile.columns.get(column.name)
                    parts &= date_parts(past.values, parse_iso(profile.slot)) if past else set()
                if parts:
                    names.add(column.name)
        return frozenset(names)

    def without(self, look: BatchView) -> list[str]:
        """List time marks that earlier batches have and `look` lacks, as a time is not derived."""
        if time_inputs(look) & look.untyped:
            return []
        return [
            f"inside:{what}"
            for what, moments in (("event", look.event), ("known", look.known_at))
            if moments is None and look.start is not None
            if any(f"inside:{what}" in p.marks for p in self.reference.window)
        ]

    def misfits(self, column: str) -> Bools:
        """Return a mask of the rows that misfit in an unusual sharp mark of `column`."""
        bad = np.zeros(self.look.rows, bool)
        for mark, rows in self.fit.misfit.items():
            if mark in self.excess and column in columns_of(mark, self.look):
                bad |= rows
        return bad

    def suspects(self) -> set[str]:
        """Return the columns that unusual marks depend on."""
        return {name for mark in self.excess for name in columns_of(mark, self.look)}

    def loss(self, names: Iterable[str]) -> float:
        """Return the greatest excess, in rows, among the marks that depend on these columns."""
        selected = set(names)
        excesses = (v for mark, v in self.excess.items() if columns_of(mark, self.look) & selected)
        return max(excesses, default=0.0)

    def _derives(self, names: Iterable[str]) -> bool:
        """Return True if event time, known-at or a row rule depends on any of these columns."""
        selected = set(names)
        inputs = [time_inputs(self.look), *self.look.rule_inputs.values()]
        return any(columns & selected for columns in inputs)

    def try_out(
        self, changed: Mapping[str, pa.Array], slack: Slack | None = None
    ) -> "HypothesisTrial":
        """Replace columns by `changed` and compare their misfits before and after.

        Cheap tests come first: columns, then relations, then derived columns. The trial stops as
        soon as too many misfits remain. If it fails, the hypothesis explains nothing.
        """
        names = changed.keys()
        touched = [m for m in self.excess if columns_of(m, self.look) & names]
        before = sum(self.excess[mark] for mark in touched)
        name = f"a trial of other values of {', '.join(names)}"
        failed = HypothesisTrial(before, math.inf, 0, 0)
        return self.guarded(name, lambda: self._try_changed(changed, before, slack), failed)

    def _try_changed(
        self, changed: Mapping[str, pa.Array], before: float, slack: Slack | None
    ) -> "HypothesisTrial":
        names = changed.keys()
        other = self.look.with_arrays(changed, event=None, known_at=None, derived={})
        after = fit_columns(other, self.reference, names, slack)
        trial = self._trial(before, after, other)
        if trial.after > RESIDUE * before:
            return trial
        fit_rules(after, other, self.reference, names)
        trial = self._trial(before, after, other)
        if trial.after > RESIDUE * before or not self._derives(names):
            return trial
        other = timed(other)
        fit_rules(after, other, self.reference, names)
        if other.ruled.failures.keys() - self.look.ruled.failures.keys():
            return HypothesisTrial(before, math.inf, 0, 0)
        missing = self.without(other) if time_inputs(self.look) & names else []
        return self._trial(before, after, other, float(len(missing) * other.rows))

    def _trial(
        self, before: float, after: FitScores, other: BatchView, missing: float = 0.0
    ) -> "HypothesisTrial":
        still = badness(after, self.reference, other.rows)
        misfits_before = sum(
            int(rows.sum()) for mark, rows in self.fit.misfit.items() if mark in after.misfit
        )
        usual = sum(int(rows.sum()) for rows in after.misfit.values())
        return HypothesisTrial(before, sum(still.values()) + missing, misfits_before, usual)


def date_parts(values: np.ndarray, start: int) -> set[str]:
    """Return which parts of a day's date the values may be; some rows may be of a day beside it."""
    if len(values) not in {1, 2}:
        return set()
    dates = [from_us(start + days * 24 * HOUR) for days in (-1, 0, 1)]
    return {
        part
        for part in ("year", "month", "day")
        if set(values.tolist()) <= {float(getattr(date, part)) for date in dates}
    }


def columns_of(mark: str, look: BatchView) -> frozenset[str]:
    """Return the delivered columns that a mark depends on."""
    kind, _, subject = mark.partition(":")
    if kind in {"keyed", "off", "far"}:
        name, _, key = subject.partition("<")
        return frozenset({name, *key.rstrip(">").split("+")})
    if kind == "relation":
        return look.rule_inputs[subject]
    if kind in {"inside", "covered", "pace"}:
        return time_inputs(look)
    return frozenset({subject})
