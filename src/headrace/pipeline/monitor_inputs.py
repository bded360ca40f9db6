"""Inputs of a pipeline's monitor: scored rows, their labels, and the verdicts on batches.

The frame has all rows predicted before the evaluation time, released or not. Each row is scored by
the model that was champion at its prediction time, unless that model was trained on the row. Labels
are read as of the evaluation time; a label that is not mature is null.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa

from headrace.core.clock import DAY, duration, parse_iso, to_us
from headrace.core.errors import DeclarationError, StateError
from headrace.core.home import Home
from headrace.datasets.column_lineage import DIRECT, column_lineage
from headrace.features.labels import attach_label
from headrace.lake.ledger.batch_listing import slot_rows
from headrace.lake.table import SNAPSHOT_SLOT, Table
from headrace.pipeline.build_context import BuildContext
from headrace.pipeline.column_lineage import declared_by
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.rolled_splits import learned_until

if TYPE_CHECKING:
    from headrace.models import ModelRecord
    from headrace.models.tasks import Floats, PredictionTask
    from headrace.monitoring.profiles.labelled_scores import ScoreProfiles

# Stored scores older than this are not recomputed, even if their labels arrive or change later.
_RESCORED = duration("56d")


def judged_at(pipeline: Pipeline, now: int) -> int:
    """Return `now` (us), or the end of the pipeline's last partition if that is earlier."""
    end = parse_iso(pipeline.last_slot) + DAY - duration(pipeline.monitor.offset)
    return min(now, end)


def before(frame: pa.Table, moment: int) -> pa.Table:
    """Return the rows with t before `moment` (us); the frame must be ordered by t."""
    return frame.slice(0, int(_moments(frame).searchsorted(moment)))


def _moments(frame: pa.Table) -> Any:  # noqa: ANN401 - a numpy array of int64
    return frame["t"].cast(pa.int64()).to_numpy()


# verdicts on batches


def gate_rows(context: BuildContext, moment: int) -> Iterator[Mapping[str, Any]]:
    """Yield the verdict on each partition that ended by `moment` (us).

    For tables that are delivered as a whole, the latest known-at of each published delivery is
    added.
    """
    last = _last_day(context.pipeline, moment)
    for table in context.pipeline.tables:
        rows = slot_rows(context.home, table, last)
        if table.partitioned:
            yield from (row for row in rows if row["slot"] <= last)
        else:
            yield from rows
            yield from editions(context, table)


def _last_day(pipeline: Pipeline, moment: int) -> str:
    from headrace.monitoring.evidence.model import day_text

    return day_text((moment + duration(pipeline.monitor.offset)) // DAY - 1)


def editions(context: BuildContext, table: Table) -> Iterator[Mapping[str, Any]]:
    """Yield the latest known-at of each published delivery of a table that is delivered whole."""
    paths = [file.path for file in context.live[table.name]]
    if not paths:
        return
    with duckdb.connect() as db:
        latest_known = db.execute(
            "SELECT max(known_at) FROM read_parquet(?, filename = 'path') GROUP BY path", [paths]
        ).fetchall()
    for (known_at,) in latest_known:
        if known_at is not None:
            yield {
                "table": table.name,
                "slot": SNAPSHOT_SLOT,
                "verdict": "PASS",
                "known_at": to_us(known_at),
            }


# scores of models


@dataclass(frozen=True)
class ScoredRows:
    """Rows predicted before a moment, scored by the models that were champions at the time.

    Attributes:
        frame: the feature frame of the rows.
        scores: `t`, `model` (bundle id), the segments, and by the model's task `score` and `label`,
            or `loss` and its companions; None without a model.
        trained_at: time (us) up to which rows were used to train the current champion.
        notes: reasons why rows could not be scored.
    """

    frame: pa.Table
    scores: pa.Table | None = None
    trained_at: int | None = None
    notes: tuple[str, ...] = ()


def score_rows(context: BuildContext, frame: pa.Table, moment: int) -> ScoredRows:
    """Score each row by the champion of its prediction time, with labels as of `moment` (us).

    Rows from before the first champion are scored by the first champion. If scores
    are stored, only those of the last days are recomputed, whose labels can still change.

    Raises:
        DeclarationError: the frame lacks a segment column of the monitor.
    """
    from headrace.models import history, load_record, predict

    home, pipeline = context.home, context.pipeline
    if absent := sorted(set(pipeline.monitor.segments) - set(frame.column_names)):
        raise DeclarationError(
            f"segments are not in the frame: {', '.join(absent)}",
            where=f"monitor {pipeline.monitor.name}",
            fix="correct the segments of the MonitorSpec",
        )
    champions = history(home, pipeline.model.name)
    if not champions:
        return ScoredRows(frame)
    records = {
        champion.bundle_id: load_record(home, champion.name, champion.bundle_id)
        for champion in champions
    }
    taught = {bundle: taught_until(home, record) for bundle, record in records.items()}
    stored = _stored_days(context, records)
    t = _moments(frame)
    since = [parse_iso(champion.since) for champion in champions]
    champion_of_row = np.maximum(np.searchsorted(since, t, side="right") - 1, 0)
    parts, notes = [], []
    for number, champion in enumerate(champions):
        bundle = champion.bundle_id
        record, until = records[bundle], taught[bundle]
        if until is None:
            notes.append(f"answers of {record.ref}: its splits have no bound in time")
            continue
        if _measure(record.task) != _measure(pipeline.model.kind):
            notes.append(f"answers of {record.ref}: the model is declared for another task now")
            continue
        if bundle in stored:
            first = stored[bundle] * DAY - duration(pipeline.monitor.offset) - _RESCORED
            until = max(until, first)
        rows = frame.filter(pa.array((champion_of_row == number) & (t >= until)))
        if not rows.num_rows:
            continue
        rows = known_rows(context, rows, moment)
        try:
            prediction = predict(record, rows, definitions=context.definitions)
            parts.append(_score_columns(pipeline, record, rows, prediction))
        except DeclarationError as error:  # changed definitions of features, or unfit labels
            notes.append(f"answers of {record.ref}: {error.what}")
    scores = pa.concat_tables(parts) if parts else None
    return ScoredRows(frame, scores, taught[champions[-1].bundle_id], tuple(notes))


def _measure(task: "PredictionTask") -> tuple[str, str | None]:
    return task.name, task.loss


def _stored_days(context: BuildContext, records: Mapping[str, "ModelRecord"]) -> dict[str, int]:
    """Return {bundle id: last day of its stored answers} of models whose answers can be appended.

    The day is that of the answers, or for predictions of numbers and classes that of their labels.
    """
    from headrace.monitoring.profiles.prediction_losses import kept_losses
    from headrace.monitoring.profiles.score_store import kept_answers

    home, pipeline = context.home, context.pipeline
    answers = kept_answers(home, pipeline.monitor.name).profiles
    losses = kept_losses(home, pipeline.monitor.name).profiles
    return {
        **{
            bundle: int(profiles.answer_days[-1])
            for bundle, profiles in answers.items()
            if bundle in records and _alike(profiles, segments_of(pipeline, records[bundle]))
        },
        **{bundle: int(losses[bundle].days[-1]) for bundle in losses if len(losses[bundle].days)},
    }


def _alike(profiles: "ScoreProfiles", segments: tuple[str, ...]) -> bool:
    """Return True if the stored profiles have the same segments, so that days can be appended."""
    return len(profiles.answer_days) > 0 and tuple(cut.column for cut in profiles.cuts) == tuple(
        segments
    )


def segments_of(pipeline: Pipeline, record: "ModelRecord") -> tuple[str, ...]:
    """Return the segment columns for concept drift: the monitor's, or else the model's."""
    return pipeline.monitor.segments or record.segments


def _score_columns(
    pipeline: Pipeline, record: "ModelRecord", rows: pa.Table, prediction: "Floats"
) -> pa.Table:
    from headrace.models.tasks import label_place

    columns = record.task.monitored(
        rows[record.target], prediction, label_place(record.name, record.target)
    )
    return pa.table(
        {
            "t": rows["t"].cast(pa.int64()),
            **columns,
            "model": pa.array([record.bundle_id] * rows.num_rows, pa.string()),
            **{name: rows[name] for name in segments_of(pipeline, record)},
        }
    )


def known_rows(context: BuildContext, frame: pa.Table, as_of: int) -> pa.Table:
    """Return rows of the feature frame in the form of a release, with labels as of `as_of` (us).

    A label is null if it is not mature or if there is none; `label_reason` is the reason.
    """
    from headrace.datasets.governance.apply_privacy import treated
    from headrace.datasets.governance.privacy_classes import frame_classes

    pipeline, contracts = context.pipeline, context.pipeline.contracts
    labelled = attach_label(frame, pipeline.label, context.history, contracts, as_of, pipeline.mode)
    classes = frame_classes(pipeline.spine, pipeline.views, pipeline.label, contracts)
    rows, _ = treated(pipeline.dataset, labelled, classes)
    return rows


def taught_until(home: Home, record: "ModelRecord") -> int | None:
    """Return the time (us) from which rows are new to a model; None if it cannot be determined.

    Validation rows, which chose the number of rounds, count as new unless the model was also
    trained on them.
    """
    learned_from_valid = bool(record.params.get("recipe", {}).get("with_valid", False))
    try:
        return learned_until(home, record.dataset, tuned=learned_from_valid)
    except StateError:
        return None


# features derived from the label


def label_derived(pipeline: Pipeline) -> tuple[str, ...]:
    """Return the features that use the label's columns, or the inputs of these columns."""
    document = column_lineage(declared_by(pipeline, {}))
    label = pipeline.label
    derivations = document["tables"].get(label.table, {})

    def delivered(column: str) -> set[str]:
        return set(derivations[column]["inputs"]) if column in derivations else {column}

    sources = set().union(*map(delivered, label.columns))
    return tuple(
        sorted(
            {
                name
                for name, lineage in document["columns"].items()
                if name not in label.columns
                for source in lineage["inputs"]
                if (source["table"], source["kind"]) == (label.table, DIRECT)
                and not sources.isdisjoint(delivered(source["column"]))
            }
        )
    )
