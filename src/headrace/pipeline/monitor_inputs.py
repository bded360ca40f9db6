"""Inputs of a pipeline's monitor: scored rows, labels as known, and verdicts of the gates.

The frame is all rows predicted by the evaluation time, released or not. Each is scored by the
champion at the time of its prediction, unless that model was trained on it. The label is the one
known now, null if it is not mature.
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
    from headrace.monitoring.profiles.labelled_scores import ScoreProfiles

# A label that comes, or is corrected, later than this changes no answer.
_RESCORED = duration("56d")


def judged_at(pipeline: Pipeline, now: int) -> int:
    """Return `now` (us), or the end of the last slot if it is earlier."""
    end = parse_iso(pipeline.last_slot) + DAY - duration(pipeline.monitor.offset)
    return min(now, end)


def before(frame: pa.Table, moment: int) -> pa.Table:
    """The rows predicted before `moment`; the frame is ordered by t."""
    return frame.slice(0, int(_moments(frame).searchsorted(moment)))


def _moments(frame: pa.Table) -> Any:  # noqa: ANN401 - a numpy array of int64
    return frame["t"].cast(pa.int64()).to_numpy()


# What the gates said


def gate_rows(context: BuildContext, moment: int) -> Iterator[Mapping[str, Any]]:
    """Yield the gates' verdicts on each slot that ended by `moment` (us).

    For tables that are delivered whole, also the latest known-at of each published delivery.
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
    """The published deliveries of a table that is delivered whole, each with what it knows last."""
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


# What the models answered


@dataclass(frozen=True)
class ScoredRows:
    """Rows predicted by a moment, with the scores of the models that were champions then.

    Attributes:
        frame: the feature frame of the rows.
        scores: `t`, `score`, `label`, `model` (bundle id) and the segments; None without a model.
        trained_at: up to when (us) the current champion was taught.
        notes: what could not be scored, and why.
    """

    frame: pa.Table
    scores: pa.Table | None = None
    trained_at: int | None = None
    notes: tuple[str, ...] = ()


def score_rows(context: BuildContext, frame: pa.Table, moment: int) -> ScoredRows:
    """Score rows by the champion of the time of their prediction, labels as known at `moment`.

    Rows from before the first champion are scored by the first. Of stored scores, only the last
    `_RESCORED` are recomputed.

    Raises:
        DeclarationError: the frame lacks a segment that the monitor names.
    """
    from headrace.models import history, load_record, predict
    from headrace.monitoring.profiles.score_store import kept_answers

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
    stored = kept_answers(home, pipeline.monitor.name).profiles
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
        if bundle in stored and _alike(stored[bundle], segments_of(pipeline, record)):
            last_day = int(stored[bundle].answer_days[-1])
            until = max(until, last_day * DAY - duration(pipeline.monitor.offset) - _RESCORED)
        rows = frame.filter(pa.array((champion_of_row == number) & (t >= until)))
        if not rows.num_rows:
            continue
        rows = known_rows(context, rows, moment)
        try:
            score = predict(record, rows, definitions=context.definitions)
        except DeclarationError as error:  # its features have since been given another meaning
            notes.append(f"answers of {record.ref}: {error.what}")
            continue
        parts.append(_score_columns(pipeline, record, rows, pa.array(score)))
    scores = pa.concat_tables(parts) if parts else None
    return ScoredRows(frame, scores, taught[champions[-1].bundle_id], tuple(notes))


def _alike(profiles: "ScoreProfiles", segments: tuple[str, ...]) -> bool:
    """Return True if the stored profiles have the same segments, so that days can be added."""
    return len(profiles.answer_days) > 0 and tuple(cut.column for cut in profiles.cuts) == tuple(
        segments
    )


def segments_of(pipeline: Pipeline, record: "ModelRecord") -> tuple[str, ...]:
    """The columns in which concept drift is searched for: the monitor's, else the model's."""
    return pipeline.monitor.segments or record.segments


def _score_columns(
    pipeline: Pipeline, record: "ModelRecord", rows: pa.Table, score: pa.Array
) -> pa.Table:
    return pa.table(
        {
            "t": rows["t"].cast(pa.int64()),
            "score": score,
            "label": rows[record.target].cast(pa.int64()),
            "model": pa.array([record.bundle_id] * rows.num_rows, pa.string()),
            **{name: rows[name] for name in segments_of(pipeline, record)},
        }
    )


def known_rows(context: BuildContext, frame: pa.Table, as_of: int) -> pa.Table:
    """Return rows of the feature frame as in a release, with the label as of `as_of` (us).

    The label is null where it is not mature, or where there will be none; `label_reason` says why.
    """
    from headrace.datasets.governance.apply_privacy import treated
    from headrace.datasets.governance.privacy_classes import frame_classes

    pipeline, contracts = context.pipeline, context.pipeline.contracts
    labelled = attach_label(frame, pipeline.label, context.history, contracts, as_of, pipeline.mode)
    classes = frame_classes(pipeline.spine, pipeline.views, pipeline.label, contracts)
    rows, _ = treated(pipeline.dataset, labelled, classes)
    return rows


def taught_until(home: Home, record: "ModelRecord") -> int | None:
    """Return the time (us) from which rows are new to a model; None if it has no such bound.

    The rows that chose its number of rounds count as new, unless it learned from them as well.
    """
    learned_from_valid = bool(record.params.get("recipe", {}).get("with_valid", False))
    try:
        return learned_until(home, record.dataset, tuned=learned_from_valid)
    except StateError:
        return None


# What follows from the label


def label_derived(pipeline: Pipeline) -> tuple[str, ...]:
    """The features whose values come from the label, or from what it is made of, in its table."""
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
