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
# Least share of misfitting rows of each of the two columns. If only one is unusual, it changed by
# itself, and the other merely happens to look like it.
_COLUMN_SHARE = 0.1
_OPEN = 0.5  # share of known values below which a column has new ones in every batch
_EVIDENCE = 3.0  # least misfitting rows that an exchange must explain


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
        numbers = {first.type, second.type} <= {"integer", "number"}
        if not (first.type == second.type or numbers) or not {first.name, second.name} & suspects:
            continue
        if case.loss([first.name, second.name]) < _MINIMUM * case.look.rows:
            continue
        if not all(_is_unusual(case, name) for name in (first.name, second.name)):
            continue
        a, b = case.look.arrays[first.name], case.look.arrays[second.name]
        if first.scale != second.scale or first.type != second.type:
            a, b = _rescaled(a, first, second), _rescaled(b, second, first)
        if a.equals(b):
            continue
        trial = case.try_out({first.name: b, second.name: a})
        if trial.explains and trial.before >= _EVIDENCE:
            sentence = f"{first.name} and {second.name} look exchanged: put back, {trial.words}"
            names = (first.name, second.name)
            yield DriftFinding("swap", names, sentence, trial.evidence, weight=trial.gain)
