"""Detector for swapped columns: two columns of the same type with exchanged content."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.drift.findings import DriftFinding
from headrace.contracts.drift.hypothesis_trial import DriftCase
from headrace.contracts.model import Field

_MINIMUM = 0.3  # least share of misfitting rows for a pair to be tried
_LEAST_SHARE = 0.15  # the same, for an exchange in some rows
# Least share of misfitting rows of each of the two columns. If only one is unusual, it changed by
# itself, and the other merely happens to look like it.
_COLUMN_SHARE = 0.1
_OPEN = 0.5  # share of known values below which a column has new ones in every batch
_EVIDENCE = 6.0  # least misfitting rows that an exchange must explain
_PART = 0.1  # least share of the rows for an exchange in some of them


def _rescaled(array: pa.Array, source: Field, target: Field) -> pa.Array:
    """Convert stored values from one column's scale to another's."""
    return pc.multiply(
        array.cast(pa.float64(), safe=False), 10.0 ** ((target.scale or 0) - (source.scale or 0))
    )


def _is_unusual(case: DriftCase, name: str) -> bool:
    """Return True if enough rows misfit in a column, or if any text would fit in it."""
    support = case.reference.marks(f"support:{name}")
    is_open = bool(len(support)) and float(np.median(support)) < _OPEN
    return is_open or case.loss([name]) >= _COLUMN_SHARE * case.look.rows


def swaps(case: DriftCase) -> Iterator[DriftFinding]:
    suspects = case.suspects()
    fields = [f for f in case.look.contract.delivered if f.name in case.look.columns]
    for first, second in combinations(fields, 2):
        if {first.name, second.name} <= case.calendar:
            continue  # on 1 February, the month and the day are right
        numbers = {first.type, second.type} <= {"integer", "number"}
        if not (first.type == second.type or numbers) or not {first.name, second.name} & suspects:
            continue
        loss = case.loss([first.name, second.name]) / max(case.look.rows, 1)
        if loss < _LEAST_SHARE:
            continue
        if not all(_is_unusual(case, name) for name in (first.name, second.name)):
            continue
        a, b = case.look.arrays[first.name], case.look.arrays[second.name]
        if first.scale != second.scale or first.type != second.type:
            a, b = _rescaled(a, first, second), _rescaled(b, second, first)
        if a.equals(b):
            continue
        names = (first.name, second.name)
        trial = case.try_out({first.name: b, second.name: a})
        if loss >= _MINIMUM and trial.explains and trial.before >= _EVIDENCE:
            sentence = f"{first.name} and {second.name} look exchanged: put back, {trial.words}"
            yield DriftFinding("swap", names, sentence, trial.evidence, weight=trial.gain)
        else:
            yield from _in_some_rows(case, names, (a, b))


def _in_some_rows(
    case: DriftCase, names: tuple[str, str], exchanged: tuple[pa.Array, pa.Array]
) -> Iterator[DriftFinding]:
    """Yield a finding if the columns are exchanged in the rows that are unusual in both."""
    rows = case.misfits(names[0]) & case.misfits(names[1])
    if not _PART * len(rows) <= rows.sum() < len(rows):
        return
    mask = pa.array(rows)
    changed = {
        name: pc.if_else(mask, other, case.look.arrays[name].cast(other.type, safe=False))
        for name, other in zip(names, reversed(exchanged), strict=True)
    }
    trial = case.try_out(changed)
    if trial.explains and trial.before >= _EVIDENCE:
        count = int(rows.sum())
        sentence = (
            f"{names[0]} and {names[1]} look exchanged in {count} rows: put back, {trial.words}"
        )
        lines = tuple(case.look.lines[rows].tolist())
        evidence = {"rows": count, **trial.evidence}
        yield DriftFinding("swap", names, sentence, evidence, lines, weight=trial.gain)
