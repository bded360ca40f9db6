"""Under the daemon by itself: a run when a delivery has come, and a build when it is published.

Both sensors look at what is, not at events: what the sources show against the ledger, and what is
published against what was built. So nothing that happened while no daemon ran is lost. A daemon
that dies between a launch and the cursor asks again with the same run keys, and Dagster refuses
the double. Switch on these two, or the daily schedules.
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
    # What `define_asset_job` returns has no public name.
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition as AssetJob,
    )

    from headrace.pipeline import Pipeline

SECONDS = 60
# How often at most all is built again on what is published: a duration, in the environment.
BUILD_EVERY = "HEADRACE_BUILD_EVERY"
_RUN_KEY = "dagster/run_key"
# Jobs of which every run says which process executes it, from its first step on.
_MARKING = (INGEST, REFERENCE, BUILD)


@dataclass(frozen=True)
class Asked:
    """A cursor: what was asked for last.

    Attributes:
        work: digest of it.
        turn: grows with everything that is asked for; part of the run keys.
        attempt: how often the same had been asked for before.
        at: when, int64 microseconds UTC.
        whole: when all slots were last looked at.
        dead: ids of runs that had died, and whose work was asked for again.
    """

    work: str = ""
    turn: int = 0
    attempt: int = 0
    at: int = 0
    whole: int = 0
    dead: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, cursor: str | None) -> "Asked":
        given: dict[str, Any] = json.loads(cursor) if cursor else {}
        return cls(**{**given, "dead": tuple(given.get("dead", ()))})

    def next(self, work: str, now: int, **more: Any) -> "Asked":  # noqa: ANN401
        """What is asked for now."""
        attempt = self.attempt + 1 if work == self.work else 0
        given = {"work": work, "turn": self.turn + 1, "attempt": attempt, "at": now}
        return Asked(**{**asdict(self), **given, **more})

    @property
    def cursor(self) -> str:
        return json.dumps(asdict(self))


def deliveries_sensor(
    pipeline: "Pipeline",
    targets: Sequence["AssetJob"],
    home: Callable[[], Home] = Home.find,
) -> dg.SensorDefinition:
    """Return the sensor that runs `ingest` and `reference`, the `targets`, for new deliveries.

    It also closes runs that died, and asks for what they had planned and not got to.
    """

    @dg.sensor(
        name="deliveries",
        jobs=list(targets),
        minimum_interval_seconds=interval(SECONDS),
        default_status=status(),
        description="Launches an ingest of deliveries that came, late and corrected ones too, and"
        " goes on with what a run that died had planned.",
    )
    def deliveries(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        before, now, instance = Asked.of(context.cursor), now_us(), context.instance
        dead = [
            run for run in abandoned(instance, pipeline.name, _MARKING) if run.job_name in _MARKING
        ]
        # A run that died is closed once its work was asked for: a crash in between finds it again.
        over = [run for run in dead if run.run_id in before.dead or run.job_name != INGEST]
        close(instance, over)
        dead = [run for run in dead if run not in over]
        if busy := unfinished(instance, pipeline.name, (INGEST, REFERENCE), dead):
            return _skip(f"run {busy[0].run_id[:8]} is at work", before)
        whole = now - before.whole >= DAY
        work = arrived(pipeline, home(), now, whole=whole)
        for table, slots in slots_of(instance, dead, INGEST).items():
            work[table] = sorted({*work.get(table, ()), *slots})
        looked = now if whole else before.whole
        if not any(work.values()):
            return _skip("nothing has come", Asked(**{**asdict(before), "whole": looked}))
        asked = before.next(digest(work), now, whole=looked, dead=tuple(run.run_id for run in dead))
        if asked.attempt and now < before.at + backoff(before.attempt):
            return _skip(f"tried at {iso(before.at)}, and to no avail", before)
        return dg.SensorResult(
            run_requests=_requests(pipeline, work, asked.turn), cursor=asked.cursor
        )

    return deliveries


def build_sensor(
    pipeline: "Pipeline", target: "AssetJob", home: Callable[[], Home] = Home.find
) -> dg.SensorDefinition:
    """Return the sensor that runs `build` when what is published changed, at most once in
    `HEADRACE_BUILD_EVERY`.

    One that failed is tried again after a while.
    """

    @dg.sensor(
        name="builds",
        job=target,
        minimum_interval_seconds=interval(SECONDS),
        default_status=status(),
        description="Launches a build, features to monitors, over what was published meanwhile.",
    )
    def builds(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        before, now, instance = Asked.of(context.cursor), now_us(), context.instance
        if busy := unfinished(instance, pipeline.name, _MARKING):
            return _skip(f"run {busy[0].run_id[:8]} is at work", before)
        if lacking := _unpublished(pipeline, home()):
            return _skip(f"nothing is published yet of {', '.join(lacking)}", before)
        from headrace.pipeline.staleness import build_key, is_current

        if not before.turn and is_current(pipeline, home()):
            return _skip("all that is published was built by headrace run", before)
        work = build_key(pipeline, home(), latest=False)
        if work != before.work:
            wait = duration(os.environ.get(BUILD_EVERY, "1d"))
        elif _succeeded(instance, pipeline.name, before.turn):
            return _skip("all that is published is built", before)
        else:
            wait = backoff(before.attempt)
        if before.turn and now < before.at + wait:
            return _skip(f"built last at {iso(before.at)}", before)
        asked = before.next(work, now)
        return dg.SensorResult(
            run_requests=[dg.RunRequest(run_key=_key(pipeline.name, asked.turn))],
            cursor=asked.cursor,
        )

    return builds


def _skip(why: str, asked: Asked) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=dg.SkipReason(why), cursor=asked.cursor)


def _requests(pipeline: "Pipeline", work: dict[str, list[str]], turn: int) -> list[dg.RunRequest]:
    by_day = {table: slots for table, slots in work.items() if slots != [SNAPSHOT_SLOT]}
    whole = [table for table, slots in work.items() if slots == [SNAPSHOT_SLOT]]
    requests = [_ingest(span, turn) for span in spans(by_day)]
    if whole:
        keys = [asset_names.table_key(table) for table in whole]
        tags = {TABLES: ",".join(whole), "headrace/pipeline": pipeline.name}
        requests.append(
            dg.RunRequest(
                run_key=f"{turn} {','.join(whole)}",
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
    wanted = dg.RunsFilter(job_name=BUILD, tags=tags, statuses=[dg.DagsterRunStatus.SUCCESS])
    return bool(instance.get_runs(filters=wanted, limit=1))


def _unpublished(pipeline: "Pipeline", home: Home) -> list[str]:
    """Tables that a build needs and that hold nothing."""
    from headrace.lake.tables.lake import Lake

    lake = Lake(home)
    return [table.name for table in pipeline.tables if lake.snapshot_id(table.name) is None]
