"""Feature services, online store and served log of a pipeline."""

import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.core.errors import DeclarationError, StateError
from headrace.core.home import Home
from headrace.lake.tables.history import history
from headrace.lake.tables.lake import Lake
from headrace.pipeline.definition import Pipeline
from headrace.serving import FeatureService, ServedLog
from headrace.serving.audit import AuditReport, audit

if TYPE_CHECKING:
    from headrace.serving.online import Layout, LmdbStore, OnlineService, RedisStore, Store
    from headrace.serving.online.commits import AppliedCommits

ONLINE = "HEADRACE_ONLINE"


@dataclass(frozen=True)
class LakeTables:
    """Published tables of a home, with the methods that a feature service needs."""

    home: Home

    def snapshot_id(self, table: str) -> int | None:
        return Lake(self.home).snapshot_id(table)

    def rows(self, table: str, columns: list[str], snapshot_id: int) -> pa.Table:
        return history(self.home, table, columns, snapshot_id=snapshot_id)

    def snapshots_until(self, table: str, moment: int) -> list[int]:
        """Return the existing snapshots that were committed by `moment` (us), oldest first."""
        plan = Lake(self.home).plan(table)
        committed_at = plan.committed_at if plan else {}
        return [
            snapshot_id
            for snapshot_id, at in sorted(committed_at.items(), key=lambda commit: commit[1])
            if at <= moment
        ]


def feature_service(pipeline: Pipeline, home: Home) -> FeatureService:
    """Return a service that answers requests from the pipeline's published tables."""
    return FeatureService(
        pipeline.spine, pipeline.views, pipeline.contracts, LakeTables(home), pipeline.mode
    )


def online_store(pipeline: Pipeline, home: Home) -> "LmdbStore | RedisStore":
    """Open the online store of the pipeline's views.

    The environment variable `HEADRACE_ONLINE` is the URL of its Redis server; without it the store
    is embedded. If changed views need another layout, they get a separate store.

    Raises:
        DeclarationError: `HEADRACE_ONLINE` is not a Redis URL, or the redis library is missing.
        StateError: the store cannot be opened.
    """
    from headrace.serving.online import LmdbStore, layout_of

    layout = layout_of(pipeline.views, pipeline.contracts, pipeline.mode)
    if address := os.environ.get(ONLINE):
        return _on_redis(address, f"headrace:online:{pipeline.name}:{layout.name}")
    return LmdbStore(store_folder(pipeline, home, layout))


def online_parts(pipeline: Pipeline) -> list[Pipeline]:
    """Return a pipeline for each online store: one for each layout of the datasets' views."""
    from headrace.serving.online import layout_of

    parts: dict[str, Pipeline] = {}
    for part in pipeline.each_dataset():
        parts.setdefault(layout_of(part.views, part.contracts, part.mode).name, part)
    return list(parts.values())


def store_exists(pipeline: Pipeline, home: Home) -> bool:
    """Return True if an online store exists, materialised or not, without creating it."""
    from headrace.serving.online import layout_of

    layout = layout_of(pipeline.views, pipeline.contracts, pipeline.mode)
    embedded = store_folder(pipeline, home, layout) / "data.mdb"
    return bool(os.environ.get(ONLINE)) or embedded.exists()


def _on_redis(address: str, name: str) -> "RedisStore":
    from headrace.serving.online import RedisStore

    try:
        import redis
    except ModuleNotFoundError as error:
        raise DeclarationError(
            f"{ONLINE} names a Redis server, but the redis library is not installed",
            where="online store",
            fix="pip install 'headrace[redis]'",
        ) from error
    try:
        client = redis.Redis.from_url(address, socket_timeout=30, socket_connect_timeout=5)
        client.ping()
    except ValueError as error:
        raise DeclarationError(
            f"{ONLINE} is not a Redis URL",
            where="online store",
            fix="write redis://localhost:6379/1, or unset it for the embedded store",
        ) from error
    except redis.RedisError as error:
        raise StateError(
            f"the Redis server of the online store does not answer: {type(error).__name__}",
            where=ONLINE,
            fix="start it, or correct the address; unset it for the embedded store",
        ) from error
    return RedisStore(client, name)


def store_folder(pipeline: Pipeline, home: Home, layout: "Layout") -> Path:
    """Return the folder of the embedded store for a layout; it may not exist yet."""
    return home.root / "online" / pipeline.name / layout.name


def materialise_online(
    pipeline: Pipeline, home: Home, store: "Store | None" = None, *, anew: bool = False
) -> "AppliedCommits":
    """Update an online store (default: the pipeline's) from the published tables.

    A full refresh clears the store first, so that pruned history is loaded again.
    """
    from headrace.serving.online import layout_of, materialise
    from headrace.serving.online.commits import clear

    layout = layout_of(pipeline.views, pipeline.contracts, pipeline.mode)
    target = store or online_store(pipeline, home)
    try:
        if anew:
            clear(target)
        return materialise(home, layout, target)
    finally:
        if store is None:
            target.close()


def online_service(pipeline: Pipeline, home: Home, store: "Store | None" = None) -> "OnlineService":
    """Return a service that answers requests from the pipeline's online store."""
    from headrace.serving.online import OnlineService

    return OnlineService(
        pipeline.spine,
        pipeline.views,
        pipeline.contracts,
        store or online_store(pipeline, home),
        pipeline.mode,
        pipeline.max_staleness,
    )


def served_log(pipeline: Pipeline, home: Home, *, share: float = 1.0) -> ServedLog:
    """Open the pipeline's log of served vectors, which logs a `share` of the entities."""
    return ServedLog(log_path(pipeline, home), share=share)


def log_path(pipeline: Pipeline, home: Home) -> Path:
    """Return the file of a pipeline's served log; it may not exist yet."""
    name = ".".join(filter(None, (pipeline.name, pipeline.vector_scope)))
    return home.root / "served" / f"{name}.sqlite"


def audit_served(pipeline: Pipeline, home: Home) -> AuditReport:
    """Recompute every logged vector from the published tables; see `headrace.serving.audit`.

    The report covers the logs of all datasets; it is empty if the pipeline has no served log.

    Raises:
        StateError: nothing is published.
    """
    parts = {log_path(part, home): part for part in reversed(pipeline.each_dataset())}
    reports = [_audited(part, home) for path, part in parts.items() if path.exists()]
    compared = sum(report.compared for report in reports)
    return AuditReport(compared, tuple(d for report in reports for d in report.differences))


def _audited(pipeline: Pipeline, home: Home) -> AuditReport:
    with closing(served_log(pipeline, home)) as log:
        return audit(log, feature_service(pipeline, home))
