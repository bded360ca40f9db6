"""The online store as an asset, with a job and a sensor that keep it in sync with the tables."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from headrace.core.clock import SECOND, duration
from headrace.core.home import Home
from headrace.dagster import asset_names
from headrace.dagster.assets.served_log import SERVING
from headrace.dagster.assets.stage import StageOutcome, Upstream, stage_asset
from headrace.dagster.sensors.backoff import not_now, request

if TYPE_CHECKING:
    # The type that `define_asset_job` returns has no public name.
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition as AssetJob,
    )

    from headrace.pipeline import Pipeline
    from headrace.pipeline.build_context import BuildContext

ONLINE = "online"


def online_key(pipeline: str) -> dg.AssetKey:
    return dg.AssetKey([SERVING, pipeline, "online_store"])


def online_asset(
    pipeline: "Pipeline", home: Callable[[], Home] = Home.find, *, deps: Upstream
) -> dg.AssetsDefinition:
    """Return the asset of the embedded online store."""

    def work(where: Home, _: "BuildContext") -> StageOutcome:
        from headrace.operations.online_store import fill
        from headrace.pipeline import Built as StageResult
        from headrace.pipeline.serving.services import online_parts

        stores = [fill(part, where) for part in online_parts(pipeline)]
        tables = [table for store in stores for table in store["tables"]]
        rows: dict[str, int] = {}
        for table in tables:
            entry = f"rows of {table['table']}"
            rows[entry] = rows.get(entry, 0) + table["rows"]
        commits = {f"commit of {table['table']}": str(table["snapshot_id"]) for table in tables}
        missing = dict.fromkeys(table for store in stores for table in store["missing"])
        unpublished = {"nothing published of": ", ".join(missing)} if missing else {}
        places = {"store": ", ".join(store["store"] for store in stores)}
        return StageResult({**rows, **commits, **unpublished, **places}, any(rows.values()))

    return stage_asset(
        online_key(pipeline.name),
        work,
        group=SERVING,
        deps=deps,
        kinds={"lmdb"},
        description="The rows of each entity that feature views need, for fast lookups in serving.",
        owners=asset_names.owners(pipeline.tables[0].contract.owner),
        home=home,
    )


def online_job(pipeline: "Pipeline") -> "AssetJob":
    return dg.define_asset_job(
        ONLINE,
        selection=dg.AssetSelection.assets(online_key(pipeline.name)),
        description="Sync the online store with the published tables.",
        tags={"headrace/pipeline": pipeline.name},
    )


def online_sensor(
    pipeline: "Pipeline", home: Callable[[], Home] = Home.find
) -> dg.SensorDefinition:
    """Return the sensor that syncs the online store after commits, and before a view gets stale."""

    @dg.sensor(
        name=ONLINE,
        job_name=ONLINE,
        minimum_interval_seconds=30,
        description="Launches a run when tables have commits that the online store lacks.",
    )
    def behind(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        from headrace.operations.online_store import online_status
        from headrace.pipeline.serving.services import online_parts

        if reason := not_now(context.instance, ONLINE, pipeline.name):
            return dg.SkipReason(reason)
        statuses = (online_status(part, home()) for part in online_parts(pipeline))
        if any(map(_is_behind, statuses)):
            return request(pipeline.name)
        return dg.SkipReason("the online store contains all published rows")

    return behind


def _is_behind(status: Mapping[str, Any]) -> bool:
    due = status["state"] != "filled" or any(map(_is_due, status["tables"]))
    return due or any(_ages(view, status["tables"]) for view in status["views"])


def _is_due(table: Mapping[str, Any]) -> bool:
    return any(table["behind"][what] for what in ("files", "gone", "commits"))


def _ages(view: Mapping[str, Any], tables: list[Mapping[str, Any]]) -> bool:
    """Return True if the view has used up half of its maximum staleness."""
    (age,) = (table["age_seconds"] for table in tables if table["table"] == view["table"])
    limits = [duration(staleness) / SECOND for staleness in view["max_staleness"].values()]
    return bool(limits) and age is not None and age > min(limits) / 2
