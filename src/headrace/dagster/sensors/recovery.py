"""Recovery of runs whose process was killed, which Dagster would show as running forever."""

import os
import socket
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import dagster as dg

from headrace.core.clock import days
from headrace.dagster.asset_names import table_key
from headrace.dagster.partitions import RANGE_END, RANGE_START
from headrace.dagster.sensors.settings import run_starts_within

MARK = "headrace/process"
TABLES = "headrace/tables"
_UNFINISHED = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.NOT_STARTED,
]
_PARTITION = "dagster/partition"
# An unmarked run that has not changed for this long never started: its worker died first.
BEGINS_WITHIN = 180.0  # seconds
_MARKED: set[str] = set()  # runs that this process has marked


def process_mark(pid: int) -> str:
    """Return `host:pid:start time` of a process; the start time detects reused process ids."""
    return f"{socket.gethostname()}:{pid}:{_began(pid)}"


def mark(context: dg.AssetExecutionContext) -> None:
    """Tag the run with this process, so that other processes can detect that it died."""
    run_id = context.run.run_id
    if run_id not in _MARKED:
        _MARKED.add(run_id)
        context.instance.add_run_tags(run_id, {MARK: process_mark(os.getpid())})


def abandoned(
    instance: dg.DagsterInstance, pipeline: str, marking: Collection[str] = ()
) -> list[dg.DagsterRun]:
    """Return unfinished runs of this machine whose process is gone.

    Args:
        instance: the Dagster instance.
        pipeline: name of the pipeline.
        marking: jobs whose runs are marked as soon as they start. If such a run still has no mark
            after `BEGINS_WITHIN`, its process died before it started.
    """
    filters = dg.RunsFilter(statuses=_UNFINISHED, tags={"headrace/pipeline": pipeline})
    return [
        record.dagster_run
        for record in instance.get_run_records(filters=filters)
        if not _alive(record.dagster_run.tags.get(MARK, ""))
        or (
            record.dagster_run.job_name in marking
            and MARK not in record.dagster_run.tags
            and _idle(record) > run_starts_within(BEGINS_WITHIN)
        )
    ]


def _idle(record: dg.RunRecord) -> float:
    """Return the seconds since the run's record was last updated."""
    return time.time() - record.update_timestamp.timestamp()


def slots_of(
    instance: dg.DagsterInstance, runs: Sequence[dg.DagsterRun], job: str
) -> dict[str, set[str]]:
    """Return {table: partitions} that these runs planned but that are not materialised yet."""
    slots_by_table: dict[str, set[str]] = {}
    for run in runs:
        if run.job_name != job:
            continue
        planned = _planned(run)
        for table in filter(None, run.tags.get(TABLES, "").split(",")):
            materialised = instance.get_materialized_partitions(table_key(table))
            slots_by_table.setdefault(table, set()).update(planned - materialised)
    return slots_by_table


def close(instance: dg.DagsterInstance, runs: Sequence[dg.DagsterRun]) -> None:
    """Mark runs as failed. Call it last: until then, a later process can find these runs again."""
    for run in runs:
        instance.report_run_failed(run, "the process that executed this run was killed")


def _planned(run: dg.DagsterRun) -> set[str]:
    if RANGE_START in run.tags:
        return set(days(run.tags[RANGE_START], run.tags[RANGE_END]))
    return {run.tags[_PARTITION]} if _PARTITION in run.tags else set()


def _alive(mark: str) -> bool:
    host, _, rest = mark.partition(":")
    pid = rest.partition(":")[0]
    if host != socket.gethostname():
        return True  # the state of a run on another machine is unknown here
    return pid.isdigit() and process_mark(int(pid)) == mark and _exists(int(pid))


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _began(pid: int) -> str:
    """Return the start time of a process (Linux: clock ticks since boot); "" elsewhere."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
