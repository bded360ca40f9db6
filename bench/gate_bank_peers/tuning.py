"""Choice of a peer's margins on tables of the bank.

A margin for each kind of check is chosen so that as many injected faults as possible are stopped
while few clean days raise an alarm. The choice is greedy: starting from margins under which no
clean day alarms, the margin whose reduction stops the most additional faults for each additional
false alarm is reduced, as long as the budget allows it.

Margins that fit the tables at hand are too narrow for a new table. How much wider they must be, and
whether one margin for all checks does better, is decided on tables that each choice has not seen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.gate_bank_peers.figures import Floats
from bench.gate_bank_peers.run import Delivery, TableRun, deliveries

Margins = dict[str, float]
Bools = NDArray[np.bool_]
# Numbers of clean days that may be above the margin of a kind.
_STEPS = (0, 1, 2, 3, 5, 7, 10, 14, 19, 25, 33, 43, 56, 73, 95, 124)


@dataclass(frozen=True)
class Grid:
    """Scores of deliveries, a row for each delivery and a column for each kind of check."""

    kinds: tuple[str, ...]
    scores: Floats
    broken: Bools

    @classmethod
    def of(cls, deliveries: Sequence[Delivery], peer: str, kinds: Sequence[str]) -> "Grid":
        place = {kind: at for at, kind in enumerate(kinds)}
        scores = np.zeros((len(deliveries), len(kinds)))
        for row, delivery in enumerate(deliveries):
            for kind, (score, _) in delivery.scores.get(peer, {}).items():
                if kind in place:
                    scores[row, place[kind]] = score
        broken = np.array([delivery.broken is not None for delivery in deliveries], bool)
        return cls(tuple(kinds), scores, broken)


def kinds_of(deliveries: Sequence[Delivery], peer: str) -> list[str]:
    """Return the kinds of checks that have a score above 0 anywhere."""
    return sorted({kind for delivery in deliveries for kind in delivery.scores.get(peer, {})})


def single_margin(clean: Sequence[Delivery], peer: str, most: float) -> float:
    """Return the smallest common margin of all checks under which few clean days alarm."""
    greatest = sorted(
        (max((score for score, _ in d.scores.get(peer, {}).values()), default=0.0) for d in clean),
        reverse=True,
    )
    allowed = int(most * len(clean)) - sum(d.broken is not None for d in clean)
    return greatest[allowed] if 0 <= allowed < len(greatest) else np.inf


def margins_by_kind(
    clean: Sequence[Delivery],
    altered: Sequence[Delivery],
    peer: str,
    most: float,
) -> Margins:
    """Return a margin for each kind of check."""
    kinds = kinds_of([*clean, *altered], peer)
    days, faults = Grid.of(clean, peer, kinds), Grid.of(altered, peer, kinds)
    budget = int(most * len(clean))
    candidates = [
        (at, margin) for at in range(len(kinds)) for margin in _candidates(days.scores[:, at])
    ]
    at_kind = np.array([at for at, _ in candidates], int)
    margins = np.array([margin for _, margin in candidates])
    # A row for each candidate: the days and the faults that its margin would stop.
    loud_days = (days.scores[:, at_kind] > margins).T.astype(np.float32)
    loud_faults = (faults.scores[:, at_kind] > margins).T.astype(np.float32)
    chosen = np.full(len(kinds), np.inf)
    alarmed, stopped = days.broken.copy(), faults.broken.copy()
    while candidates:
        costs = loud_days @ (~alarmed).astype(np.float32)
        gains = loud_faults @ (~stopped).astype(np.float32)
        possible = (gains > 0) & (alarmed.sum() + costs <= budget)
        if not possible.any():
            break
        best = int(np.argmax(np.where(possible, gains / (costs + 0.01), -1.0)))
        chosen[at_kind[best]] = min(chosen[at_kind[best]], margins[best])
        alarmed |= loud_days[best] > 0
        stopped |= loud_faults[best] > 0
    return {kind: float(margin) for kind, margin in zip(kinds, chosen, strict=True)}


def _candidates(scores: Floats) -> Floats:
    """Return margins that some clean days exceed, starting with one that none does."""
    ordered = np.sort(scores)[::-1]
    return np.array([ordered[at] for at in _STEPS if at < len(ordered)])


def alarm(delivery: Delivery, peer: str, margins: Margins) -> tuple[str, ...] | None:
    """Return the columns that the loudest check names; None if no check alarms.

    The loudest check is the one whose score is most times its margin. `("",)` stands for a check
    that names no column.
    """
    if delivery.broken is not None:
        return delivery.broken or ("",)
    loud = [
        (score / margin if margin > 0 else np.inf, columns)
        for kind, (score, columns) in delivery.scores.get(peer, {}).items()
        if score > (margin := margins.get(kind, np.inf))
    ]
    if not loud:
        return None
    return max(loud, key=lambda pair: pair[0])[1] or ("",)


def factor_for(clean: Sequence[Delivery], peer: str, margins: Margins, alarms: int) -> float:
    """Return the factor of all margins under which this many clean days alarm.

    If several days reach the same factor, more days alarm, not fewer. Days that cannot be loaded
    alarm whatever the factor.
    """
    broken = sum(delivery.broken is not None for delivery in clean)
    # A day alarms under all factors below its limit.
    limits = sorted((_limit(d, peer, margins) for d in clean if d.broken is None), reverse=True)
    wanted = alarms - broken
    if wanted <= 0:
        return limits[0] if limits else 1.0
    below = [limit for limit in limits[wanted:] if limit < limits[wanted - 1]]
    return below[0] if below else 0.0


def _limit(delivery: Delivery, peer: str, margins: Margins) -> float:
    return max(
        (
            score / margin if margin > 0 else np.inf
            for kind, (score, _) in delivery.scores.get(peer, {}).items()
            if score > 0 and (margin := margins.get(kind, np.inf)) < np.inf
        ),
        default=0.0,
    )


def scaled(margins: Margins, factor: float) -> Margins:
    """Return all margins times a factor; a check that is off remains off."""
    return {k: m if m in (0.0, np.inf) else m * factor for k, m in margins.items()}


def shapes(runs: Sequence[TableRun], peer: str, most: float) -> list[tuple[str, Margins]]:
    """Return margins to scale: one for all checks, and those by kind of check.

    Those by kind stop the most faults while few clean days of these tables alarm.
    """
    clean, altered = deliveries(runs, "clean"), deliveries(runs, "altered")
    by_kind = [
        (f"by kind, {most * share:.1%}", margins_by_kind(clean, altered, peer, most * share))
        for share in _BUDGETS
    ]
    return [("one margin", dict.fromkeys(kinds_of([*clean, *altered], peer), 1.0)), *by_kind]


FOLDS = 5
# Shares of clean days that may alarm on the tables at hand, relative to the share that may alarm on
# a new table, and factors of the margins.
_BUDGETS = (1.0, 0.5, 0.2)
_FACTORS = (1.0, 2.0, 4.0)
Choice = Callable[[Sequence[TableRun]], Margins]


def tuned(runs: Sequence[TableRun], peer: str, most: float) -> Margins:
    """Return the margins that stop the most faults while few clean days of new tables alarm."""
    runs = sorted(runs, key=lambda run: run.table)
    folds = [(runs[:at] + runs[at + 1 :], [runs[at]]) for at in range(len(runs))]
    if len(runs) > FOLDS:
        parts = [runs[at::FOLDS] for at in range(FOLDS)]
        folds = [([run for run in runs if run not in part], part) for part in parts]
    best: tuple[float, Choice] | None = None
    for choose in _choices(peer, most):
        alarms = days = stopped = 0
        for rest, part in folds:
            margins = choose(rest)
            clean = deliveries(part, "clean")
            days += len(clean)
            alarms += sum(alarm(day, peer, margins) is not None for day in clean)
            altered = deliveries(part, "altered")
            stopped += sum(alarm(fault, peer, margins) is not None for fault in altered)
        if alarms <= most * days and (best is None or stopped > best[0]):
            best = stopped, choose
    return best[1](runs) if best else _common(runs, peer, most)


def _choices(peer: str, most: float) -> list[Choice]:
    budgets = [most * share for share in _BUDGETS]
    alone = [lambda runs, budget=budget: _common(runs, peer, budget) for budget in budgets]
    fitted: dict[tuple[float, tuple[str, ...]], Margins] = {}
    by_kind = [
        lambda runs, budget=budget, factor=factor: _widened(runs, peer, budget, factor, fitted)
        for budget in budgets
        for factor in _FACTORS
    ]
    return [*alone, *by_kind]


def _common(runs: Sequence[TableRun], peer: str, most: float) -> Margins:
    clean, altered = deliveries(runs, "clean"), deliveries(runs, "altered")
    margin = single_margin(clean, peer, most)
    return dict.fromkeys(kinds_of([*clean, *altered], peer), margin)


def _widened(
    runs: Sequence[TableRun],
    peer: str,
    most: float,
    factor: float,
    fitted: dict[tuple[float, tuple[str, ...]], Margins],
) -> Margins:
    """Return the margins by kind times a factor; `fitted` holds those that were computed before."""
    key = most, tuple(run.table for run in runs)
    if key not in fitted:
        clean, altered = deliveries(runs, "clean"), deliveries(runs, "altered")
        fitted[key] = margins_by_kind(clean, altered, peer, most)
    return {kind: factor * margin for kind, margin in fitted[key].items()}
