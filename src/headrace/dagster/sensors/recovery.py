"""Runs whose process was killed: Dagster would show them as running for ever."""

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
# A run that nobody has marked so long after it last changed was never begun: its worker died first.
BEGINS_WITHIN = 180.0  # seconds
_MARKED: set[str] = set()  # runs that this process has marked


def process_mark(pid: int) -> str:
    """A process; with its beginning, where the system tells it, since numbers are used again."""
    return f"{socket.gethostname()}:{pid}:{_began(pid)}"


def mark(context: dg.AssetExecutionContext) -> None:
    """Say on the run which process executes it, so that another can tell when that one has died."""
    run_id = context.run.run_id
    if run_id not in _MARKED:
        _MARKED.add(run_id)
        context.instance.add_run_tags(run_id, {MARK: process_mark(os.getpid())})


def abandoned(
    instance: dg.DagsterInstance, pipeline: str, marking: Collection[str] = ()
) -> list[dg.DagsterRun]:
    """Unfinished runs that a process of this machine executed and that nobody executes any more.

    Args:
        instance: whose runs.
        pipeline: of which one.
        marking: jobs of which every run is marked as soon as it begins: one that is not, a while
            after it was launched, has died before.
    """
    wanted = dg.RunsFilter(statuses=_UNFINISHED, tags={"headrace/pipeline": pipeline})
    return [
        record.dagster_run
        for record in instance.get_run_records(filters=wanted)
        if not _alive(record.dagster_run.tags.get(MARK, ""))
        or (
            record.dagster_run.job_name in marking
            and MARK not in record.dagster_run.tags
            and _idle(record) > run_starts_within(BEGINS_WITHIN)
        )
    ]


def _idle(record: dg.RunRecord) -> float:
    """Seconds since anything was written about the run."""
    return time.time() - record.update_timestamp.timestamp()


def slots_of(
    instance: dg.DagsterInstance, runs: Sequence[dg.DagsterRun], job: str
) -> dict[str, set[str]]:
    """{table: slots} that these runs planned and that are not materialised by now."""
    found: dict[str, set[str]] = {}
    for run in runs:
        if run.job_name != job:
            continue
        planned = _planned(run)
        for table in filter(None, run.tags.get(TABLES, "").split(",")):
            done = instance.get_materialized_partitions(table_key(table))
            found.setdefault(table, set()).update(planned - done)
    return found


def close(instance: dg.DagsterInstance, runs: Sequence[dg.DagsterRun]) -> None:
    """Mark them as failed; last of all, so that a crash before it finds them again."""
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
        return True  # another machine's run is not ours to judge
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
    """Linux tells the tick at which a process began; elsewhere the number alone must do."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
