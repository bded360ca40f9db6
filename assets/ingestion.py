"""Sources, and the tables that are published from them behind the gate."""

from headrace.dagster import (
    Asset,
    daily,
    gate_checks,
    partitioned,
    snapshot_asset,
    snapshots,
    source_spec,
    table_asset,
)
from headrace.pipeline import Pipeline


def assets(pipeline: Pipeline) -> list[Asset]:
    days = daily(pipeline.first_slot, pipeline.last_slot)
    return [
        *(source_spec(table) for table in pipeline.tables),
        *(table_asset(table, days) for table in partitioned(pipeline.tables)),
        *(snapshot_asset(table) for table in snapshots(pipeline.tables)),
        *(gate_checks(table) for table in pipeline.tables),
    ]
