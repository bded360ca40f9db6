"""Runs whose process was killed: Dagster would show them as running for ever."""

import os
import socket
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from headrace.clock import days
from headrace.dagster.names import table_key
from headrace.dagster.partitions import RANGE_END, RANGE_START

MARK = "headrace/process"
TABLES = "headrace/tables"
_UNFINISHED = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.NOT_STARTED,
]
_PARTITION = "dagster/partition"


def process_mark(pid: int) -> str:
    """A process; with its beginning, where the system tells it, since numbers are used again."""
    return f"{socket.gethostname()}:{pid}:{_began(pid)}"


def abandoned(instance: dg.DagsterInstance, pipeline: str) -> list[dg.DagsterRun]:
    """Unfinished runs that a process of this machine executed and that nobody executes any more."""
    wanted = dg.RunsFilter(statuses=_UNFINISHED, tags={"headrace/pipeline": pipeline})
    return [run for run in instance.get_runs(filters=wanted) if not _alive(run.tags.get(MARK, ""))]


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
