"""Detectors of training-serving skew and leakage, run on a system with an injected fault.

The detectors know the system's parts, but not the fault. They compare serving with training, spine
and labels with the oracle, features before and after a perturbation of the future, fitted
transforms before and after a change of test rows, and the definitions of both sides.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from headrace.core.clock import DAY, HOUR
from headrace.datasets.fits.fits import Fits
from headrace.datasets.fits.fitting import fit
from headrace.features import oracle
from headrace.features.canonical import definition_hashes
from headrace.features.frames.training_frame import training_frame
from headrace.features.kernel.arrays import Ints, times
from headrace.features.labels import attach_label
from headrace.features.oracle import Row
from headrace.features.oracle_audit import plain_values
from headrace.features.spec import output_columns
from headrace.features.spines import build_spine
from headrace.features.table_shapes import shape_of
from headrace.verification.leaks import leaks, random_moments
from headrace.verification.parity import ServingPath, replayed, why
from headrace.verification.parity_diagnosis.hypotheses import UNEXPLAINED, equal
from headrace.verification.skew.replay import TablesPath
from headrace.verification.skew.sample_system import (
    CONTRACTS,
    LABEL,
    LENGTH,
    MODE,
    SPINE,
    START,
    VIEWS,
    SampleWorld,
    rows_of,
)

POINTS, STEPS, LEAK_ROWS = 300, 12, 12
LABEL_CUT = START + LENGTH - 8 * HOUR
TRAIN_END = START + 2 * DAY
CATEGORY = "line"

PathMaker: TypeAlias = Callable[[SampleWorld, pa.Schema], ServingPath]


def tables_path(world: SampleWorld, types: pa.Schema) -> ServingPath:
    """Return the real serving path: `FeatureService` over the tables as published so far."""
    return TablesPath(SPINE, VIEWS, CONTRACTS, world.history, types, MODE)


def _label(world: SampleWorld, frame: pa.Table, cut: int) -> pa.Table:
    return attach_label(frame, LABEL, world.history, CONTRACTS, cut, MODE)


def _fit_on_training(frame: pa.Table, train: Ints) -> Fits:
    return fit(frame.take(pa.array(train)), (CATEGORY,))


def _fit_of_training(frame: pa.Table, trained: Fits) -> Fits:
    del frame
    return trained


@dataclass(frozen=True)
class System:
    """Parts of a pipeline; a fault replaces some of them by faulty ones.

    Attributes:
        path: returns the serving path for a sample world.
        frame: builds training frames.
        spine: builds spines.
        label: attaches the label as of a cutoff.
        fit: fits the transforms, given the frame and the indices of its training rows.
        served_fit: returns the fitted transforms that serving uses, given the served rows and the
            model's fitted transforms.
        definitions: the definition hash of each view that serving uses.
    """

    path: PathMaker = tables_path
    frame: Callable[..., pa.Table] = training_frame
    spine: Callable[..., pa.Table] = build_spine
    label: Callable[[SampleWorld, pa.Table, int], pa.Table] = _label
    fit: Callable[[pa.Table, Ints], Fits] = _fit_on_training
    served_fit: Callable[[pa.Table, Fits], Fits] = _fit_of_training
    definitions: Mapping[str, str] = field(
        default_factory=lambda: definition_hashes(SPINE, VIEWS, CONTRACTS)
    )


@dataclass(frozen=True)
class SkewFinding:
    """Finding of a detector; `cause` is the name of a fault, or "unexplained"."""

    detector: str
    cause: str
    detail: str = ""


def examine(system: System, world: SampleWorld) -> list[SkewFinding]:
    """Run every detector; a system without a fault has no findings."""
    detectors = (_definitions, _parity, _spine, _labels, _fits, _leaks)
    return [finding for detector in detectors for finding in detector(system, world)]


def verdict(findings: Sequence[SkewFinding]) -> str | None:
    """Return the first explained cause, else "unexplained"; None if there are no findings."""
    names = [finding.cause for finding in findings if finding.cause != UNEXPLAINED]
    return names[0] if names else (UNEXPLAINED if findings else None)


# Detectors


def _definitions(system: System, _: SampleWorld) -> list[SkewFinding]:
    trained = definition_hashes(SPINE, VIEWS, CONTRACTS)
    names = [name for name in trained if system.definitions.get(name) != trained[name]]
    return [SkewFinding("definitions", "changed definition", ", ".join(names))] if names else []


def _parity(system: System, world: SampleWorld) -> list[SkewFinding]:
    points = world.points(POINTS)
    frame = system.frame(points, VIEWS, world.history, CONTRACTS, MODE)
    trained = frame.select(output_columns(list(VIEWS)))
    replay = replayed(system.path(world, trained.schema), points, trained, steps=STEPS)
    if not replay.any.any():
        return []
    causes = why(replay, VIEWS, world.history, CONTRACTS, MODE, extra=world.quarantined)
    return [SkewFinding("parity", cause.name, str(cause)) for cause in causes]


def _leaks(system: System, world: SampleWorld) -> list[SkewFinding]:
    cuts = random_moments(world.spine, LEAK_ROWS, seed=world.seed)
    report = leaks(
        SPINE, VIEWS, world.history, CONTRACTS, cuts, mode=MODE, seed=world.seed,
        build=system.spine, frame=system.frame,
    )  # fmt: skip
    return [SkewFinding("leaks", UNEXPLAINED, report.found[0])] if report.moved else []


def _spine(system: System, world: SampleWorld) -> list[SkewFinding]:
    built = rows_of(system.spine(SPINE, world.history, CONTRACTS, MODE))
    shape, rows = shape_of(CONTRACTS[SPINE.table]), world.rows[SPINE.table]
    if _same_rows(built, oracle.spine_rows(SPINE, rows, shape, MODE)):
        return []
    for name, wrong in _WRONG_SPINES.items():
        if _same_rows(built, wrong(rows)):
            return [SkewFinding("spine", name)]
    return [SkewFinding("spine", UNEXPLAINED)]


def _latest_columns(rows: Sequence[Row]) -> list[Row]:
    """Return the right spine rows, but with columns of each key's final version."""
    shape = shape_of(CONTRACTS[SPINE.table])
    last = {row["id"]: row for row in oracle.resolve(rows, shape, 2**61, MODE)}
    right = oracle.spine_rows(SPINE, rows, shape, MODE)
    return [row | {name: last[row["id"]][name] for name in SPINE.columns} for row in right]


def _latest_rows(rows: Sequence[Row]) -> list[Row]:
    """Return a spine of the final versions, even if they were not known at the time."""
    shape = shape_of(CONTRACTS[SPINE.table])
    last = oracle.resolve(rows, shape, 2**61, MODE)
    latest = [
        {name: row[name] for name in ("id", *SPINE.columns)}
        | {"t": row["event_time"] + SPINE.offset}
        for row in last
    ]
    return sorted(latest, key=lambda row: (row["t"], row["id"]))


_WRONG_SPINES: dict[str, Callable[[Sequence[Row]], list[Row]]] = {
    "spine column from the future": _latest_columns,
    "spine from the future": _latest_rows,
}


def _labels(system: System, world: SampleWorld) -> list[SkewFinding]:
    frame = world.spine
    labels = [plain_values(system.label(world, frame, LABEL_CUT)[name]) for name in LABEL.outputs]
    if _columns_equal(labels, _label_rows(world, frame, LABEL, LABEL_CUT)):
        return []
    for name, wrong in _WRONG_LABELS.items():
        if _columns_equal(labels, wrong(world, frame)):
            return [SkewFinding("labels", name)]
    return [SkewFinding("labels", UNEXPLAINED)]


def _label_rows(world: SampleWorld, frame: pa.Table, label: Any, cut: int) -> list[Row]:  # noqa: ANN401
    shape = shape_of(CONTRACTS[label.table])
    return [
        oracle.label_row(label, world.rows[label.table], shape, spine, cut, mode=MODE)
        for spine in rows_of(frame)
    ]


def _by_presence(world: SampleWorld, frame: pa.Table) -> list[Row]:
    """Return labels that wrongly count as mature as soon as there is an outcome."""
    shape, rows = shape_of(CONTRACTS[LABEL.table]), world.rows[LABEL.table]
    current = oracle.resolve(rows, shape, LABEL_CUT, MODE)
    visible = [{**row, "known_at": -(2**61), "committed_at": -(2**61)} for row in current]
    right = _label_rows(world, frame, LABEL, LABEL_CUT)
    eager = [
        oracle.label_row(LABEL, visible, shape, spine, 2**61, mode=MODE) for spine in rows_of(frame)
    ]
    return [
        early if row["label_reason"] == "immature" and early["label_reason"] is None else row
        for row, early in zip(right, eager, strict=True)
    ]


def _read_today(world: SampleWorld, frame: pa.Table) -> list[Row]:
    """Return labels with today's outcomes, but with maturity as of the cutoff."""
    right = _label_rows(world, frame, LABEL, LABEL_CUT)
    today = _label_rows(world, frame, LABEL, 2**61)
    return [
        row if row["label_reason"] == "immature" else later
        for row, later in zip(right, today, strict=True)
    ]


_WRONG_LABELS: dict[str, Callable[[SampleWorld, pa.Table], list[Row]]] = {
    "label by presence": _by_presence,
    "label read as of today": _read_today,
    "label without settling": lambda world, frame: _label_rows(
        world, frame, replace(LABEL, settle="0s"), LABEL_CUT
    ),
}


def _fits(system: System, world: SampleWorld) -> list[SkewFinding]:
    """Check that transforms are fitted on training rows only, and that serving uses the same."""
    frame = training_frame(world.spine, VIEWS, world.history, CONTRACTS, MODE)
    t = times(frame, "t", "the frame")
    train, rest = np.flatnonzero(t < TRAIN_END), np.flatnonzero(t >= TRAIN_END)
    fitted = system.fit(frame, train)
    perturbed = system.fit(_with_other_category(frame, rest), train)
    if fitted.id != perturbed.id:
        return [SkewFinding("fits", "fitted on all rows", CATEGORY)]
    served = system.served_fit(frame.take(pa.array(rest)), fitted)
    if served.id == fitted.id:
        return []
    refitted = fit(frame.take(pa.array(rest)), (CATEGORY,))
    name = "refitted transform" if served.id == refitted.id else UNEXPLAINED
    return [SkewFinding("fits", name, CATEGORY)]


def _with_other_category(frame: pa.Table, rows: Ints) -> pa.Table:
    """Replace the category in these rows by a new one."""
    values = np.array(frame[CATEGORY].to_pylist(), dtype=object)
    values[rows] = "a category of the future"
    place = frame.column_names.index(CATEGORY)
    return frame.set_column(place, CATEGORY, pa.array(values, pa.string()))


def _same_rows(built: Sequence[Row], expected: Sequence[Row]) -> bool:
    return [sorted(row.items()) for row in built] == [sorted(row.items()) for row in expected]


def _columns_equal(columns: Sequence[Sequence[Any]], rows: Sequence[Row]) -> bool:
    return all(
        equal(value, row[name])
        for name, column in zip(LABEL.outputs, columns, strict=True)
        for value, row in zip(column, rows, strict=True)
    )
