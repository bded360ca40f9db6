"""Detectors for columns that became null and times that lost precision."""

from collections.abc import Iterator

import numpy as np

from headrace.contracts.drift.batch_view import BatchView, ViewColumn
from headrace.contracts.drift.findings import DriftFinding
from headrace.contracts.drift.fit_scores import LEAST_BATCHES
from headrace.contracts.drift.hypothesis_trial import DriftCase


def nulls(case: DriftCase) -> Iterator[DriftFinding]:
    look = case.look
    for name, column in look.columns.items():
        mark = f"present:{name}"
        usual = case.reference.marks(mark)
        now = 1 - float(column.present.mean()) if look.rows else 0.0
        if now < _NULL_SHARE or len(usual) < LEAST_BATCHES or 1 - usual.min() > _NULL_SHARE / 2:
            continue
        sentence = (
            f"{now:.1%} of {name} is null; in the batches before it was at most"
            f" {1 - usual.min():.1%}."
        )
        evidence = {"share": now, "usual": float(1 - usual.min())}
        yield DriftFinding("nulls", (name,), sentence, evidence, weight=now * look.rows)


_NULL_SHARE = 0.95  # least share of nulls for a finding
_GRAINS = {"clock": (60.0, 30.0, 15.0, 5.0), "moment": (86_400e6, 3_600e6, 60e6, 1e6, 1e3)}
_FINE = 0.2  # least share of values finer than the grain in every earlier batch
_LEAST_ROWS = 12


def fine_marks(look: BatchView) -> dict[str, float]:
    """Return per time column and grain the share of values that are not multiples of the grain."""
    shares = {}
    for column in look.columns.values():
        values = column.values[column.present]
        if len(values) < _LEAST_ROWS or column.kind not in _GRAINS:
            continue
        for grain in _GRAINS[column.kind]:
            parts = values / grain
            share = float((np.abs(parts - np.rint(parts)) > 1e-6).mean())
            if share > 0:
                shares[f"fine:{column.name}:{grain:g}"] = share
    return shares


def precision_changes(case: DriftCase) -> Iterator[DriftFinding]:
    now = fine_marks(case.look)
    for column in case.look.columns.values():
        if int(column.present.sum()) < _LEAST_ROWS or column.kind not in _GRAINS:
            continue
        for grain in _GRAINS[column.kind]:
            mark = f"fine:{column.name}:{grain:g}"
            earlier = case.reference.marks(mark)
            if len(earlier) < LEAST_BATCHES or len(earlier) < case.reference.batches:
                continue
            if mark not in now and earlier.min() >= _FINE:
                yield _coarser(column, grain, float(earlier.min()))
                break


def _coarser(column: ViewColumn, grain: float, usual: float) -> DriftFinding:
    unit = {"clock": "minutes", "moment": "microseconds"}.get(column.kind, "")
    sentence = (
        f"Every value of {column.name} is a multiple of {grain:g} {unit}".rstrip()
        + f"; in every batch before at least {usual:.0%} were finer."
    )
    kind = "timestamp_precision"
    weight = float(column.present.sum())
    return DriftFinding(kind, (column.name,), sentence, {"grain": grain}, weight=weight)
