"""Detectors for repeated rows: exact duplicates in a batch, and rows of earlier batches."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

import numpy as np

from headrace.contracts.drift.baseline import Baseline
from headrace.contracts.drift.batch_view import BatchView, Bools
from headrace.contracts.drift.detectors.stuck_readings import measured
from headrace.contracts.drift.findings import DriftFinding
from headrace.contracts.drift.fit_scores import LEAST_BATCHES
from headrace.contracts.drift.hypothesis_trial import DriftCase
from headrace.contracts.drift.profile import ColumnSummary, summary
from headrace.contracts.drift.statistics import copies, counters

_REPEATED_SHARE = 0.9  # share of rows from which the whole delivery counts as delivered again
_COPIES, _FEW_COPIES = 0.2, 5  # least growth of the share of copied rows, and least such rows
# Least distinct values of a measure, and of all such measures, for equal ones to be no coincidence.
_FEW_VALUES, _MANY_VALUES = 10, 20
_DISTINCT = 0.5  # least share of distinct values among the rows, for the same
_DOUBLED = 0.4  # share of dropped rows from which most rows were delivered twice
_USUAL = 2.0  # report stale rows above this multiple of the window's greatest share


def duplicates(case: DriftCase) -> Iterator[DriftFinding]:
    """Report that exact duplicates were dropped from the batch."""
    look, window = case.look, case.reference.window
    if not look.repeated or len(window) < LEAST_BATCHES:
        return
    share = look.repeated / (look.rows + look.repeated)
    usual = max(p.repeated / max(p.rows + p.repeated, 1) for p in window)
    sentence = (
        f"{look.repeated} rows are exact repetitions of others ({share:.2%}; at most {usual:.2%} in"
        f" the {len(window)} batches before). They were dropped."
    )
    evidence = {"rows": look.repeated, "share": share, "usual": usual}
    is_doubled = share >= _DOUBLED and usual < share / 2
    kind = "doubled_rows" if is_doubled else "duplicates"
    yield DriftFinding(kind, (), sentence, evidence, weight=look.repeated)


def in_earlier_batches(look: BatchView, reference: Baseline) -> Bools:
    """Return a mask of rows whose delivered values all equal those of a row in an earlier batch."""
    hashes = reference.rows_seen
    if not len(hashes.values):
        return np.zeros(look.rows, bool)
    places = np.minimum(np.searchsorted(hashes.values, look.row_hashes), len(hashes.values) - 1)
    matches: Bools = hashes.values[places] == look.row_hashes
    return matches


def stale_rows(case: DriftCase) -> Iterator[DriftFinding]:
    """Report rows that earlier batches already delivered, if there are unusually many."""
    look, reference = case.look, case.reference
    if reference.batches < LEAST_BATCHES:
        return
    repeated = in_earlier_batches(look, reference)
    count = int(repeated.sum())
    earlier = reference.marks("seen")
    usual = float(earlier.max()) if len(earlier) else 0.0
    if not count or count / look.rows <= _USUAL * usual:
        return
    slots = sorted(
        {p.slot for p in reference.window if _share_a_hash(look.row_hashes[repeated], p.hashes)}
    )
    sentence = (
        f"{count} of {look.rows} rows are equal to rows of earlier batches"
        f" ({', '.join(slots[-3:])}): they were delivered again as if they were new."
    )
    evidence = {"rows": count, "usual": usual, "slots": slots[-3:]}
    if count >= _REPEATED_SHARE * look.rows:
        yield DriftFinding("repeated_delivery", (), sentence, evidence, weight=4.0 * count)
        return
    lines = tuple(look.lines[repeated].tolist())
    yield DriftFinding("stale_rows", (), sentence, evidence, lines, weight=count)


def repeated_values(case: DriftCase) -> Iterator[DriftFinding]:
    """Report that all measures have exactly the values of an earlier batch, under other times."""
    columns = {c.name: summary(c) for c in measured(case.look) if c.name in case.reference.pools}
    # A day of many equal values proves nothing: the distances of a week's flights are those of the
    # week before.
    minimum = max(_FEW_VALUES, _DISTINCT * case.look.rows)
    rich = {name: s for name, s in columns.items() if not s.coarse and len(s.values) >= minimum}
    if sum(len(s.values) for s in rich.values()) < _MANY_VALUES:
        return
    window = list(case.reference.window)
    if any(_have_equal(rich, p.columns, q.columns) for p, q in pairwise(window)):
        return  # values that stay the same, such as of a price list
    for profile in reversed(window):
        if _have_equal(rich, columns, profile.columns):
            names = ", ".join(rich)
            sentence = (
                f"The values of {names} are exactly those of the batch {profile.slot}, under other"
                " times or keys."
            )
            evidence = {"slot": profile.slot, "columns": list(rich)}
            weight = 4.0 * case.look.rows
            yield DriftFinding("repeated_delivery", tuple(rich), sentence, evidence, weight=weight)
            return


Summaries = Mapping[str, ColumnSummary]


def _have_equal(names: Iterable[str], first: Summaries, second: Summaries) -> bool:
    """Return True if two batches have the same values of these columns, equally often."""
    return all(
        name in first
        and name in second
        and np.array_equal(first[name].values, second[name].values)
        and np.array_equal(first[name].counts, second[name].counts)
        for name in names
    )


def copied_rows(case: DriftCase) -> Iterator[DriftFinding]:
    """Report rows that repeat others under new keys, if there are unusually many."""
    look = case.look
    past = case.reference.marks("twice:")
    if len(past) < LEAST_BATCHES or not look.rows:
        return
    share, usual = case.statistics["twice:"], float(past.max())
    if share - usual < max(_COPIES, 0.5 * usual) or share * look.rows < _FEW_COPIES:
        return
    if not counters(look):
        return
    repeats = copies(look)
    names = ", ".join(column.name for column in counters(look))
    sentence = (
        f"{int(repeats.sum())} of {look.rows} rows repeat another row in all columns but {names}:"
        f" {share:.0%}; at most {usual:.0%} in the {len(past)} batches before."
    )
    evidence = {"rows": int(repeats.sum()), "share": share, "usual": usual}
    lines = tuple(look.lines[repeats].tolist())
    yield DriftFinding("repeated_rows", (), sentence, evidence, lines, float(repeats.sum()))


def _share_a_hash(row_hashes: np.ndarray, hashes: np.ndarray) -> bool:
    return bool(len(hashes)) and bool(np.isin(row_hashes, hashes).any())
