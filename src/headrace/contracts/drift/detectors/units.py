"""Detector for unit changes: in a whole column, or in the rows of one category."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from headrace.contracts.drift.batch_view import Bools
from headrace.contracts.drift.findings import DriftFinding
from headrace.contracts.drift.fit_scores import time_inputs
from headrace.contracts.drift.hypothesis_trial import DriftCase, HypothesisTrial
from headrace.contracts.drift.unit_conversions import UnitConversion, conversions
from headrace.contracts.model import Field

MOST_LEVELS = 64  # most categories of a column that is used to slice the rows
MOST_SLICES = 4  # slices tried per categorical column, those with the most misfits first
_MINIMUM_LOSS = 0.04  # least share of misfitting rows for the whole column to be tried
_PLACES = 3  # least decimals assumed for a converted number: it may happen to be whole
_MISFITS = 0.5  # least share of a slice's rows that must misfit


@dataclass(frozen=True, eq=False)
class UnitScope:
    """Rows that may be in another unit; `lines` is empty if that is the whole column."""

    name: str
    rows: Bools
    lines: tuple[int, ...] = ()


def unit_changes(case: DriftCase) -> Iterator[DriftFinding]:
    for field in case.look.contract.delivered:
        column = case.look.columns.get(field.name)
        if column is None or not _can_be_converted(case, field):
            continue
        findings = []
        if case.loss([field.name]) >= _MINIMUM_LOSS * case.look.rows:
            findings = list(
                _try_conversions(case, field, UnitScope("the whole column", column.present))
            )
        yield from findings
        if not findings:
            for scope in _slices(case, field.name):
                yield from _try_conversions(case, field, scope)


def _can_be_converted(case: DriftCase, field: Field) -> bool:
    """Return True for a suspect number column that has a unit, or is not a key or time input."""
    look = case.look
    if look.columns[field.name].kind != "number" or field.name not in case.suspects():
        return False
    if field.unit is not None:
        return True
    aside = {*look.contract.primary_key, *time_inputs(look)}
    return field.type == "number" and field.name not in aside


def _slices(case: DriftCase, name: str) -> list[UnitScope]:
    bad = case.misfits(name)
    if not bad.any():
        return []
    scopes = []
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
                scopes.append(UnitScope(f"{other.name} {level}", rows, lines))
    return scopes


def _try_conversions(case: DriftCase, field: Field, scope: UnitScope) -> Iterator[DriftFinding]:
    """Yield a finding for the conversion that explains the misfits best, if any does."""
    best: tuple[HypothesisTrial, UnitConversion] | None = None
    for conversion in conversions(field.unit):
        changed, slack = undone(case, field, conversion, scope.rows)
        trial = case.try_out({field.name: changed}, {field.name: slack})
        if trial.explains and (best is None or trial.rank > best[0].rank):
            best = (trial, conversion)
    if best is not None:
        yield _finding(field, best[1], scope, best[0])


def undone(
    case: DriftCase, field: Field, conversion: UnitConversion, rows: Bools
) -> tuple[pa.Array, float]:
    """Return (column with the conversion reversed in `rows`, greatest remaining rounding error)."""
    values = case.look.columns[field.name].values.copy()
    unit = 10.0 ** (field.scale or 0)
    numbers = values[rows] / unit
    values[rows] = (numbers - conversion.offset) / conversion.scale * unit
    places = decimals(numbers) if field.type == "integer" else max(decimals(numbers), _PLACES)
    slack = 0.51 * 10.0**-places / abs(conversion.scale) * unit
    if field.type == "integer":
        values = np.rint(values)
    return pa.array(values, from_pandas=True), slack


def decimals(values: np.ndarray, limit: int = 6) -> int:
    """Return the number of decimal places needed to write all values, at most `limit`."""
    for places in range(limit):
        scaled = values * 10.0**places
        if np.all(np.abs(scaled - np.rint(scaled)) <= 1e-6 * np.maximum(np.abs(scaled), 1)):
            return places
    return limit


def _finding(
    field: Field, conversion: UnitConversion, scope: UnitScope, trial: HypothesisTrial
) -> DriftFinding:
    count = int(scope.rows.sum())
    where = f" in the {count} rows of {scope.name}" if scope.lines else ""
    sentence = (
        f"{field.name} looks like {conversion.other} instead of {conversion.unit}{where}:"
        f" with {conversion.text} reversed, {trial.words}"
    )
    evidence = {
        "factor": conversion.scale,
        "offset": conversion.offset,
        "from": conversion.unit,
        "to": conversion.other,
        "scope": scope.name,
        "rows": count,
        **trial.evidence,
    }
    return DriftFinding("unit_change", (field.name,), sentence, evidence, scope.lines, trial.gain)
