"""Rows that came before: exact repetitions within a batch, and rows of earlier batches."""

from collections.abc import Iterator

import numpy as np

from headrace.contracts.drift.baseline import Reference
from headrace.contracts.drift.batch_view import Bools, Look
from headrace.contracts.drift.findings import Finding
from headrace.contracts.drift.fit_scores import LEAST_BATCHES
from headrace.contracts.drift.hypothesis_trial import Case

_USUAL = 2.0  # times the greatest share of the window


def duplicates(case: Case) -> Iterator[Finding]:
    """Exact repetitions are dropped before anything else; more than usual are worth a note."""
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
    yield Finding("duplicates", (), sentence, evidence, weight=look.repeated)


def seen_before(look: Look, reference: Reference) -> Bools:
    """Rows equal in every delivered value to a row of an earlier batch."""
    seen = reference.rows_seen
    if not len(seen.values):
        return np.zeros(look.rows, bool)
    places = np.minimum(np.searchsorted(seen.values, look.row_hashes), len(seen.values) - 1)
    found: Bools = seen.values[places] == look.row_hashes
    return found


def stale_rows(case: Case) -> Iterator[Finding]:
    """In a table whose batches bring new rows, old ones that came again."""
    look, reference = case.look, case.reference
    if reference.batches < LEAST_BATCHES:
        return
    again = seen_before(look, reference)
    count = int(again.sum())
    earlier = reference.marks("seen")
    usual = float(earlier.max()) if len(earlier) else 0.0
    if not count or count / look.rows <= _USUAL * usual:
        return
    which = sorted({p.slot for p in reference.window if _meets(look.row_hashes[again], p.hashes)})
    sentence = (
        f"{count} of {look.rows} rows are equal to rows of earlier batches"
        f" ({', '.join(which[-3:])}): they were delivered again as if they were new."
    )
    evidence = {"rows": count, "usual": usual, "slots": which[-3:]}
    lines = tuple(look.lines[again].tolist())
    yield Finding("stale_rows", (), sentence, evidence, lines, weight=count)


def _meets(some: np.ndarray, hashes: np.ndarray) -> bool:
    return bool(len(hashes)) and bool(np.isin(some, hashes).any())
