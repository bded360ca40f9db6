"""A number in another unit: the whole column, or the rows of one level of another one."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from headrace.contracts.drift.batch_view import Bools
from headrace.contracts.drift.findings import Finding
from headrace.contracts.drift.fit_scores import time_inputs
from headrace.contracts.drift.hypothesis_trial import Case, Trial
from headrace.contracts.drift.unit_conversions import Conversion, conversions
from headrace.contracts.model import Field

MOST_LEVELS = 64  # of a column whose levels may be slices
MOST_SLICES = 4  # a column; those with the most misfits are tried
_WHOLE = 0.04  # of the rows have to be lost before the whole column is tried
_PLACES = 3  # that a converted number is written with at least; whole ones may just be whole
_MISFITS = 0.5  # the share of a slice's rows that must misfit


@dataclass(frozen=True, eq=False)
class Scope:
    """The rows that may be in another unit; `lines` is empty if they are all."""

    name: str
    rows: Bools
    lines: tuple[int, ...] = ()


def unit_changes(case: Case) -> Iterator[Finding]:
    for field in case.look.contract.delivered:
        column = case.look.columns.get(field.name)
        if column is None or not _can_be_converted(case, field):
            continue
        whole = []
        if case.loss([field.name]) >= _WHOLE * case.look.rows:
            whole = list(_tried(case, field, Scope("the whole column", column.present)))
        yield from whole
        if not whole:
            for scope in _slices(case, field.name):
                yield from _tried(case, field, scope)


def _can_be_converted(case: Case, field: Field) -> bool:
    """A number with a unit, or a measured one whose unit nobody declared."""
    look = case.look
    if look.columns[field.name].kind != "number" or field.name not in case.suspects():
        return False
    if field.unit is not None:
        return True
    aside = {*look.contract.primary_key, *time_inputs(look)}
    return field.type == "number" and field.name not in aside


def _slices(case: Case, name: str) -> list[Scope]:
    bad = case.misfits(name)
    if not bad.any():
        return []
    found = []
    for other in case.look.columns.values():
        if other.kind != "text" or other.name == name:
            continue
        levels, where = np.unique(other.tokens, return_inverse=True)
        if not 2 <= len(levels) <= MOST_LEVELS:
            continue
        misfits = np.bincount(where, bad)
        share = misfits / np.bincount(where)
        for at in np.argsort(-misfits, kind="stable")[:MOST_SLICES]:
            if share[at] >= _MISFITS:
                level = case.look.names.get(int(levels[at]), "")
                rows = (where == at) & case.look.columns[name].present
                lines = tuple(case.look.lines[rows].tolist())
                found.append(Scope(f"{other.name} {level}", rows, lines))
    return found


def _tried(case: Case, field: Field, scope: Scope) -> Iterator[Finding]:
    """The conversion that explains most, if one does."""
    best: tuple[Trial, Conversion] | None = None
    for conversion in conversions(field.unit):
        changed, slack = undone(case, field, conversion, scope.rows)
        trial = case.try_out({field.name: changed}, {field.name: slack})
        if trial.explains and (best is None or trial.rank > best[0].rank):
            best = (trial, conversion)
    if best is not None:
        yield _finding(field, best[1], scope, best[0])


def undone(case: Case, field: Field, conversion: Conversion, rows: Bools) -> tuple[pa.Array, float]:
    """(the column with the conversion taken back in `rows`, how far off rounding leaves it)."""
    values = case.look.columns[field.name].values.copy()
    unit = 10.0 ** (field.scale or 0)
    given = values[rows] / unit
    values[rows] = (given - conversion.offset) / conversion.scale * unit
    places = decimals(given) if field.type == "integer" else max(decimals(given), _PLACES)
    slack = 0.51 * 10.0**-places / abs(conversion.scale) * unit
    if field.type == "integer":
        values = np.rint(values)
    return pa.array(values, from_pandas=True), slack


def decimals(values: np.ndarray, most: int = 6) -> int:
    """The fewest decimal places that all values have; `most` if they have more."""
    for places in range(most):
        scaled = values * 10.0**places
        if np.all(np.abs(scaled - np.rint(scaled)) <= 1e-6 * np.maximum(np.abs(scaled), 1)):
            return places
    return most


def _finding(field: Field, conversion: Conversion, scope: Scope, trial: Trial) -> Finding:
    count = int(scope.rows.sum())
    where = f" in the {count} rows of {scope.name}" if scope.lines else ""
    sentence = (
        f"{field.name} looks like {conversion.other} instead of {conversion.unit}{where}:"
        f" with {conversion.text} taken back, {trial.words}"
    )
    evidence = {
        "factor": conversion.scale,
        "offset": conversion.offset,
        "from": conversion.unit,
        "to": conversion.other,
        "scope": scope.name,
        "rows": count,
        **trial.told,
    }
    return Finding("unit_change", (field.name,), sentence, evidence, scope.lines, trial.gain)
