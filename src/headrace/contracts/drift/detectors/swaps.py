"""Two columns of one type that stand in each other's place."""

from collections.abc import Iterator
from itertools import combinations

import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.drift.findings import Finding
from headrace.contracts.drift.hypothesis_trial import Case
from headrace.contracts.model import Field

_LEAST = 0.3  # of the rows have to be lost before a pair is tried


def _rescaled(array: pa.Array, given: Field, wanted: Field) -> pa.Array:
    """Stored units of one column as those of another."""
    return pc.multiply(
        array.cast(pa.float64(), safe=False), 10.0 ** ((wanted.scale or 0) - (given.scale or 0))
    )


def swaps(case: Case) -> Iterator[Finding]:
    suspects = case.suspects()
    fields = [f for f in case.look.contract.delivered if f.name in case.look.columns]
    for one, other in combinations(fields, 2):
        if one.type != other.type or not {one.name, other.name} & suspects:
            continue
        if case.loss([one.name, other.name]) < _LEAST * case.look.rows:
            continue
        a, b = case.look.arrays[one.name], case.look.arrays[other.name]
        if one.scale != other.scale:
            a, b = _rescaled(a, one, other), _rescaled(b, other, one)
        if a.equals(b):
            continue
        trial = case.try_out({one.name: b, other.name: a})
        if trial.explains:
            sentence = f"{one.name} and {other.name} look exchanged: put back, {trial.words}"
            names = (one.name, other.name)
            yield Finding("swap", names, sentence, trial.told, weight=trial.gain)
