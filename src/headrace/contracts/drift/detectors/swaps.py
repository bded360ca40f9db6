"""Detector for swapped columns: two columns of the same type with exchanged content."""

from collections.abc import Iterator
from itertools import combinations

import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.drift.findings import DriftFinding
from headrace.contracts.drift.hypothesis_trial import DriftCase
from headrace.contracts.model import Field

_MINIMUM = 0.3  # least share of misfitting rows for a pair to be tried


def _rescaled(array: pa.Array, source: Field, target: Field) -> pa.Array:
    """Convert stored values from one column's scale to another's."""
    return pc.multiply(
        array.cast(pa.float64(), safe=False), 10.0 ** ((target.scale or 0) - (source.scale or 0))
    )


def swaps(case: DriftCase) -> Iterator[DriftFinding]:
    suspects = case.suspects()
    fields = [f for f in case.look.contract.delivered if f.name in case.look.columns]
    for first, second in combinations(fields, 2):
        if first.type != second.type or not {first.name, second.name} & suspects:
            continue
        if case.loss([first.name, second.name]) < _MINIMUM * case.look.rows:
            continue
        a, b = case.look.arrays[first.name], case.look.arrays[second.name]
        if first.scale != second.scale:
            a, b = _rescaled(a, first, second), _rescaled(b, second, first)
        if a.equals(b):
            continue
        trial = case.try_out({first.name: b, second.name: a})
        if trial.explains:
            sentence = f"{first.name} and {second.name} look exchanged: put back, {trial.words}"
            names = (first.name, second.name)
            yield DriftFinding("swap", names, sentence, trial.evidence, weight=trial.gain)
