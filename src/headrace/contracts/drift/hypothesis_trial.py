"""Trying a hypothesis: undo the supposed change, and see whether the batch is usual again."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
import pyarrow as pa

from headrace.contracts.drift.baseline import Reference
from headrace.contracts.drift.batch_view import Bools, Look
from headrace.contracts.drift.fit_scores import (
    Fit,
    Slack,
    badness,
    fit,
    fit_columns,
    fit_rules,
    time_inputs,
)
from headrace.contracts.drift.view_reader import timed

RESIDUE = 0.25  # the share of what was wrong that an explanation may leave
T = TypeVar("T")


@dataclass(frozen=True)
class Trial:
    """What a hypothesis leaves.

    Attributes:
        before, after: unusual misfits, in rows.
        had, usual: all misfits of sharp marks before and after, the usual ones among them.
    """

    before: float
    after: float
    had: int
    usual: int

    @property
    def gain(self) -> float:
        return self.before - self.after

    @property
    def explains(self) -> bool:
        usual_again = self.before > 0.5 and self.after <= RESIDUE * self.before
        return usual_again and (self.usual < self.had or self.had == 0)

    @property
    def rank(self) -> float:
        """Of two that make the batch usual again, the one with fewer misfits is right."""
        return self.gain - self.usual / 100

    @property
    def told(self) -> dict[str, float]:
        return {"misfits": round(self.before, 1), "left": round(self.after, 1)}

    @property
    def words(self) -> str:
        return f"misfits with the batches before fall from {self.before:.0f} to {self.after:.0f}."


@dataclass(frozen=True, eq=False)
class Case:
    """A batch that is being looked into: its fit, and what of it is not usual.

    Attributes:
        text: the delivered text of columns, declared or not, where the contract refuses it.
        notes: what was not considered, and why.
    """

    look: Look
    reference: Reference
    text: Mapping[str, pa.Array] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def guarded(self, name: str, ask: Callable[[], T], otherwise: T) -> T:
        """Ask a detector; if it raises, note that its hypothesis was not considered."""
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
    def fit(self) -> Fit:
        return fit(self.look, self.reference)

    @cached_property
    def lost(self) -> dict[str, float]:
        """By mark, the rows that do not fit beyond what is usual."""
        lost = badness(self.fit, self.reference, self.look.rows)
        return lost | dict.fromkeys(self.without(self.look), float(self.look.rows))

    def without(self, look: Look) -> list[str]:
        """Time marks that earlier batches had: without event time no row is in its slot."""
        if time_inputs(look) & look.untyped:
            return []
        return [
            f"inside:{what}"
            for what, moments in (("event", look.event), ("known", look.known))
            if moments is None and look.start is not None
            if any(f"inside:{what}" in p.marks for p in self.reference.window)
        ]

    def misfits(self, column: str) -> Bools:
        """Rows that some sharp mark of `column` holds against it, where that is unusual."""
        bad = np.zeros(self.look.rows, bool)
        for mark, rows in self.fit.misfit.items():
            if mark in self.lost and column in columns_of(mark, self.look):
                bad |= rows
        return bad

    def suspects(self) -> set[str]:
        """Columns that some unusual mark is about."""
        return {name for mark in self.lost for name in columns_of(mark, self.look)}

    def loss(self, names: Iterable[str]) -> float:
        """The rows that the worst mark about any of these columns does not explain."""
        wanted = set(names)
        lost = (v for mark, v in self.lost.items() if columns_of(mark, self.look) & wanted)
        return max(lost, default=0.0)

    def _derives(self, names: Iterable[str]) -> bool:
        """Whether event time, known-at or an invariant is derived from one of these columns."""
        wanted = set(names)
        inputs = [time_inputs(self.look), *self.look.rule_inputs.values()]
        return any(found & wanted for found in inputs)

    def try_out(self, changed: Mapping[str, pa.Array], slack: Slack | None = None) -> "Trial":
        """What was wrong with these columns, and what still is once they are `changed`.

        What costs least is looked at first: columns, then relations, then what is derived; a
        hypothesis that leaves too much already is not looked at further, and one that cannot be
        tried explains nothing.
        """
        names = changed.keys()
        touched = [m for m in self.lost if columns_of(m, self.look) & names]
        before = sum(self.lost[mark] for mark in touched)
        name = f"a trial of other values of {', '.join(names)}"
        nothing = Trial(before, math.inf, 0, 0)
        return self.guarded(name, lambda: self._tried(changed, before, slack), nothing)

    def _tried(
        self, changed: Mapping[str, pa.Array], before: float, slack: Slack | None
    ) -> "Trial":
        names = changed.keys()
        other = self.look.with_arrays(changed, event=None, known=None, derived={})
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
            return Trial(before, math.inf, 0, 0)
        missing = self.without(other) if time_inputs(self.look) & names else []
        return self._trial(before, after, other, float(len(missing) * other.rows))

    def _trial(self, before: float, after: Fit, other: Look, missing: float = 0.0) -> "Trial":
        still = badness(after, self.reference, other.rows)
        had = sum(int(rows.sum()) for mark, rows in self.fit.misfit.items() if mark in after.misfit)
        usual = sum(int(rows.sum()) for rows in after.misfit.values())
        return Trial(before, sum(still.values()) + missing, had, usual)


def columns_of(mark: str, look: Look) -> frozenset[str]:
    """The delivered columns that a mark depends on."""
    kind, _, about = mark.partition(":")
    if kind in {"keyed", "off", "far"}:
        name, _, key = about.partition("<")
        return frozenset({name, *key.rstrip(">").split("+")})
    if kind == "relation":
        return look.rule_inputs[about]
    if kind in {"inside", "covered", "pace"}:
        return time_inputs(look)
    return frozenset({about})
