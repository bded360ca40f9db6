"""Sensors that launch an ingest when a delivery has arrived, and a build once it is published.

The sensors compare states: the sources with the ledger, and the published tables with the last
build. So they do not miss changes while no daemon runs. If a daemon dies after a launch but before
it stores the cursor, it requests the same run keys again, and Dagster ignores the duplicates.
Switch on either these two sensors or the daily schedules.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from headrace.core.clock import DAY, duration, iso, now_us
from headrace.core.files import digest
from headrace.core.home import Home
from headrace.dagster import asset_names
from headrace.dagster.jobs.jobs import BUILD, INGEST, REFERENCE
from headrace.dagster.partitions import Span, spans
from headrace.dagster.sensors.backoff import backoff, unfinished
from headrace.dagster.sensors.pending_partitions import arrived
from headrace.dagster.sensors.recovery import TABLES, abandoned, close, slots_of
from headrace.dagster.sensors.settings import interval, status
from headrace.lake.table import SNAPSHOT_SLOT

if TYPE_CHECKING:
    # The type that `define_asset_job` returns has no public name.
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition as AssetJob,
    )

    from headrace.pipeline import Pipeline

SECONDS = 60
# Environment variable with the minimum time between two builds, a duration such as "1d".
BUILD_EVERY = "HEADRACE_BUILD_EVERY"
_RUN_KEY = "dagster/run_key"
# Jobs whose runs are tagged with the executing process as soon as they start.
_MARKING = (INGEST, REFERENCE, BUILD)


@dataclass(frozen=True)
class SensorCursor:
    """Cursor of a sensor, with its last request; stored as JSON with these keys.

    Attributes:
        work: digest of the requested work.
        turn: number of the request; part of the run keys.
        attempt: number of earlier requests for the same work.
        at: time of the request, int64 microseconds UTC.
        whole: time of the last scan of all partitions, int64 microseconds UTC.
        dead: ids of dead runs whose work was requested again.
    """

    work: str = ""
    turn: int = 0
    attempt: int = 0
    at: int = 0
    whole: int = 0
    dead: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, cursor: str | None) -> "SensorCursor":
        document: dict[str, Any] = json.loads(cursor) if cursor else {}
        return cls(**{**document, "dead": tuple(document.get("dead", ()))})

    def next(self, work: str, now: int, **changes: Any) -> "SensorCursor":  # noqa: ANN401
        """Return the cursor after a request for `work`."""
        attempt = self.attempt + 1 if work == self.work else 0
        updates = {"work": work, "turn": self.turn + 1, "attempt": attempt, "at": now}
        return SensorCursor(**{**asdict(self), **updates, **changes})

    @property
    def cursor(self) -> str:
        return json.dumps(asdict(self))


def deliveries_sensor(
    pipeline: "Pipeline",
    targets: Sequence["AssetJob"],
    home: Callable[[], Home] = Home.find,
) -> dg.SensorDefinition:
    """Return the sensor that runs the `targets` (ingest and reference) for new deliveries.

    It also closes dead runs, and requests the partitions that they planned but did not reach.
    """

    @dg.sensor(
        name="deliveries",
        jobs=list(targets),
        minimum_interval_seconds=interval(SECONDS),
        default_status=status(),
        description="Launches an ingest of new deliveries, also late and corrected ones, and of the"
        " partitions that a dead run had planned.",
    )
    def deliveries(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        before, now, instance = SensorCursor.of(context.cursor), now_us(), context.instance
        dead = [
            run for run in abandoned(instance, pipeline.name, _MARKING) if run.job_name in _MARKING
        ]
        # A dead run is closed only after its work was requested, so that a crash loses no work.
        over = [run for run in dead if run.run_id in before.dead or run.job_name != INGEST]
        close(instance, over)
        dead = [run for run in dead if run not in over]
        if busy := unfinished(instance, pipeline.name, (INGEST, REFERENCE), dead):
            return _skip(f"run {busy[0].run_id[:8]} is at work", before)
        all_slots = now - before.whole >= DAY
        work = arrived(pipeline, home(), now, all_slots=all_slots)
        for table, slots in slots_of(instance, dead, INGEST).items():
            work[table] = sorted({*work.get(table, ()), *slots})
        scanned_at = now if all_slots else before.whole
        if not any(work.values()):
            return _skip("no new delivery", SensorCursor(**{**asdict(before), "whole": scanned_at}))
        after = before.next(
            digest(work), now, whole=scanned_at, dead=tuple(run.run_id for run in dead)
        )
        if after.attempt and now < before.at + backoff(before.attempt):
            return _skip(f"tried at {iso(before.at)} without success", before)
        return dg.SensorResult(
            run_requests=_requests(pipeline, work, after.turn), cursor=after.cursor
        )

    return deliveries


def build_sensor(
    pipeline: "Pipeline", target: "AssetJob", home: Callable[[], Home] = Home.find
) -> dg.SensorDefinition:
    """Return the sensor that runs `build` when the published tables have changed.

    It builds at most once per `HEADRACE_BUILD_EVERY` and retries a failed build after a pause.
    """

    @dg.sensor(
        name="builds",
        job=target,
        minimum_interval_seconds=interval(SECONDS),
        default_status=status(),
        description="Launches a build when the published tables have changed.",
    )
    def builds(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        before, now, instance = SensorCursor.of(context.cursor), now_us(), context.instance
        if busy := unfinished(instance, pipeline.name, _MARKING):
            return _skip(f"run {busy[0].run_id[:8]} is at work", before)
        if lacking := _unpublished(pipeline, home()):
            return _skip(f"nothing is published yet of {', '.join(lacking)}", before)
        from headrace.pipeline.staleness import build_key, is_current

        if not before.turn and is_current(pipeline, home()):
            return _skip("headrace run has built everything that is published", before)
        work = build_key(pipeline, home(), latest=False)
        if work != before.work:
            wait = duration(os.environ.get(BUILD_EVERY, "1d"))
        elif _succeeded(instance, pipeline.name, before.turn):
            return _skip("everything that is published is built", before)
        else:
            wait = backoff(before.attempt)
        if before.turn and now < before.at + wait:
            return _skip(f"built last at {iso(before.at)}", before)
        after = before.next(work, now)
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=_key(pipeline.name, after.turn))],
            cursor=after.cursor,
        )

    return builds


def _skip(why: str, cursor_state: SensorCursor) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=dg.SkipReason(why), cursor=cursor_state.cursor)


def _requests(pipeline: "Pipeline", work: dict[str, list[str]], turn: int) -> list[dg.RunRequest]:
    by_day = {table: slots for table, slots in work.items() if slots != [SNAPSHOT_SLOT]}
    snapshot_tables = [table for table, slots in work.items() if slots == [SNAPSHOT_SLOT]]
    requests = [_ingest(span, turn) for span in spans(by_day)]
    if snapshot_tables:
        keys = [asset_names.table_key(table) for table in snapshot_tables]
        tags = {TABLES: ",".join(snapshot_tables), "headrace/pipeline": pipeline.name}
        requests.append(
            dg.RunRequest(
                run_key=f"{turn} {','.join(snapshot_tables)}",
                job_name=REFERENCE,
                asset_selection=keys,
                asset_check_keys=[],
                tags=tags,
            )
        )
    return requests


def _ingest(span: Span, turn: int) -> dg.RunRequest:
    single = span.first == span.last
    tags = {TABLES: ",".join(span.tables)}
    return dg.RunRequest(
        run_key=f"{turn} {span}",
        job_name=INGEST,
        partition_key=span.first if single else None,
        tags=tags if single else {**tags, **span.tags},
        asset_selection=[asset_names.table_key(table) for table in span.tables],
        asset_check_keys=[],
    )


def _key(pipeline: str, turn: int) -> str:
    return f"{pipeline} {turn}"


def _succeeded(instance: dg.DagsterInstance, pipeline: str, turn: int) -> bool:
    tags = {_RUN_KEY: _key(pipeline, turn), "headrace/pipeline": pipeline}
    filters = dg.RunsFilter(job_name=BUILD, tags=tags, statuses=[dg.DagsterRunStatus.SUCCESS])
    return bool(instance.get_runs(filters=filters, limit=1))


def _unpublished(pipeline: "Pipeline", home: Home) -> list[str]:
    """Return the tables in which nothing is published yet."""
    from headrace.lake.tables.lake import Lake

    lake = Lake(home)
    return [table.name for table in pipeline.tables if lake.snapshot_id(table.name) is None]
