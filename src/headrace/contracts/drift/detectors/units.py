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
_EVIDENCE = 3.0  # least misfitting rows that a conversion must explain
_ON_GRID = 0.98  # least share of converted values that must lie on the grid of earlier ones
_FINER = frozenset({1e3, 1e6, 1e9})  # factors between units, the smaller of which has more digits
_DISTINCT = 20  # distinct values of which half must remain distinct
_NEAR = 5.0  # factor below which an undeclared unit is no explanation by itself
_PART = 0.4  # least share of misfitting rows if rounding hides the grid
_PART_OF_ROWS = 0.15  # least share of rows with far values for their unit to be examined
_FAR_VALUES = "far values"  # name of the scope of these rows
_CONSTANT = 0.9  # usual share of one value from which a constant column is no evidence
_FEW = 6  # least rows of a category for its unit to be examined
_VAGUE = 0.2  # a rounding error beyond this share of the grid proves nothing about the grid


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
        if not findings and (field.unit is not None or field.type == "number"):
            for scope in _slices(case, field.name):
                yield from _try_conversions(case, field, scope)


def _can_be_converted(case: DriftCase, field: Field) -> bool:
    """Return True for a suspect column of numbers, unless it is a key or a time."""
    look = case.look
    if look.columns[field.name].kind != "number" or field.name not in case.suspects():
        return False
    if field.name in case.calendar:
        return False
    if field.unit is not None:
        return True
    aside = {*look.contract.primary_key, *time_inputs(look)}
    return field.name not in aside and field.zone is None


def _slices(case: DriftCase, name: str) -> list[UnitScope]:
    bad = case.misfits(name)
    if not bad.any():
        return []
    scopes = _far_rows(case, name)
    for other in case.look.columns.values():
        if other.kind != "text" or other.name == name:
            continue
        levels, where = np.unique(other.tokens, return_inverse=True)
        if not 2 <= len(levels) <= MOST_LEVELS:
            continue
        misfits = np.bincount(where, bad)
        share = misfits / np.bincount(where)
        for at in np.argsort(-misfits, kind="stable")[:MOST_SLICES]:
            if share[at] >= _MISFITS and int((where == at).sum()) >= _FEW:
                level = case.look.names.get(int(levels[at]), "")
                rows = (where == at) & case.look.columns[name].present
                lines = tuple(case.look.lines[rows].tolist())
                scopes.append(UnitScope(f"{other.name} {level}", rows, lines))
    return scopes


def _far_rows(case: DriftCase, name: str) -> list[UnitScope]:
    """Return the rows out of range or far from their key's last value, if they are a good part."""
    far = np.zeros(case.look.rows, bool)
    for mark in case.excess:
        if mark == f"range:{name}" or mark.startswith(f"far:{name}<"):
            far |= case.fit.misfit[mark]
    present = case.look.columns[name].present
    if not max(_FEW, _PART_OF_ROWS * present.sum()) <= far.sum() < present.sum():
        return []
    return [UnitScope(_FAR_VALUES, far, tuple(case.look.lines[far].tolist()))]


def _try_conversions(case: DriftCase, field: Field, scope: UnitScope) -> Iterator[DriftFinding]:
    """Yield a finding for the conversion that explains the misfits best, if any does."""
    best: tuple[HypothesisTrial, UnitConversion] | None = None
    if _is_one_value(case, field, scope):
        return
    # Whole numbers without a unit are counts: at most another power of ten.
    is_count = field.unit is None and field.type == "integer"
    for conversion in (*(() if is_count else conversions(field.unit)), *_powers(field)):
        if _is_wild_guess(conversion, scope):
            continue
        values, slack = undone(case, field, conversion, scope.rows)
        grid = _grid(case, field)
        is_vague = slack > _VAGUE * grid
        if is_vague and not _is_plausible(case, field, conversion, scope):
            continue
        may_be_finer = not scope.lines and not is_count and conversion.scale in _FINER
        may_be_finer &= len(np.unique(values[scope.rows])) > 1
        if not is_vague and not _looks_like_past(
            values[scope.rows], (grid, slack), may_be_finer=may_be_finer
        ):
            continue
        changed = pa.array(np.rint(values) if field.type == "integer" else values, from_pandas=True)
        trial = case.try_out({field.name: changed}, {field.name: slack})
        if trial.before < _EVIDENCE or not trial.explains:
            continue
        if best is None or trial.rank > best[0].rank:
            best = (trial, conversion)
    if best is not None:
        yield _finding(field, best[1], scope, best[0])


def _is_wild_guess(conversion: UnitConversion, scope: UnitScope) -> bool:
    """Return True for a small factor that no unit suggests, in the rows of a category only."""
    is_guess = conversion.unit == "the declared unit"
    return is_guess and bool(scope.lines) and 1 / _NEAR < conversion.scale < _NEAR


def _is_one_value(case: DriftCase, field: Field, scope: UnitScope) -> bool:
    """Return True if all rows have one value, unless that is usual: it may be a placeholder."""
    values = case.look.columns[field.name].values[scope.rows]
    constancy = case.reference.marks(f"most:{field.name}")
    is_usual = bool(len(constancy)) and float(np.median(constancy)) >= _CONSTANT
    is_usual |= bool(field.explained_by and scope.lines)  # the distance of a route
    return len(values) > 1 and bool((values == values[0]).all()) and not is_usual


def undone(
    case: DriftCase, field: Field, conversion: UnitConversion, rows: Bools
) -> tuple[np.ndarray, float]:
    """Return (values with the conversion reversed in `rows`, greatest remaining rounding error)."""
    values = case.look.columns[field.name].values.copy()
    unit = 10.0 ** (field.scale or 0)
    numbers = values[rows] / unit
    values[rows] = (numbers - conversion.offset) / conversion.scale * unit
    places = decimals(numbers) if field.type == "integer" else max(decimals(numbers), _PLACES)
    return values, 0.51 * 10.0**-places / abs(conversion.scale) * unit


def _powers(field: Field) -> Iterator[UnitConversion]:
    """Yield powers of ten, which any producer may confuse, whatever the unit."""
    usual_scales = (
        {conversion.scale for conversion in conversions(field.unit)} if field.unit else set()
    )
    for scale in (1000.0, 0.001, 100.0, 0.01, 10.0, 0.1):
        if scale not in usual_scales:
            unit = field.unit or "the declared unit"
            yield UnitConversion(unit, f"{scale:g} times {unit}", scale)


def _grid(case: DriftCase, field: Field) -> float:
    """Return the last decimal of earlier values."""
    unit = float(10.0 ** (field.scale or 0))
    return unit * 10.0 ** -decimals(case.reference.pools[field.name].values / unit)


def _is_plausible(
    case: DriftCase, field: Field, conversion: UnitConversion, scope: UnitScope
) -> bool:
    """Return True if a conversion may be tried although its rounding hides the grid.

    Values that changed little, by a factor that nothing in the contract suggests, changed by
    themselves; and misfits must then concern a good part of the rows.
    """
    is_guess = conversion.unit == "the declared unit" and not field.explained_by
    near = 1 / _NEAR < conversion.scale < _NEAR
    is_slice = bool(scope.lines) and scope.name != _FAR_VALUES
    if (near and is_guess) or (is_slice and not field.explained_by):
        return False
    return case.loss([field.name]) >= _PART * float(scope.rows.sum())


def _looks_like_past(values: np.ndarray, grid: tuple[float, float], *, may_be_finer: bool) -> bool:
    """Return True if the converted values have no more decimals than earlier values.

    This is what exposes a false hypothesis: whole numbers divided by 1.6 are hardly ever whole.
    A whole column divided by 1000 may have more decimals (`may_be_finer`): grams are often measured
    to more digits than kilograms. As many distinct values must remain: divided by a
    great factor, all numbers are zero. `grid` is the last decimal of earlier values and the
    greatest rounding error.
    """
    step, slack = grid
    values = values[~np.isnan(values)]
    if not len(values):
        return False
    places = np.rint(values / step)
    off = np.abs(values - places * step)
    became_zero = places[values != 0] == 0
    if became_zero.sum() > 0.5 * len(became_zero):
        return False
    if len(np.unique(places)) < 0.5 * min(len(np.unique(values)), _DISTINCT):
        return False
    return may_be_finer or bool((off <= slack + 1e-6 * step).mean() >= _ON_GRID)


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
    sentence = f"{field.name} looks {conversion.seems}{where}: {conversion.undoing}, {trial.words}"
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
