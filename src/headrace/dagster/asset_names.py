"""Names in the asset graph: asset keys, groups and owners."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from headrace.features.spec import FeatureView, Lookup, View
from headrace.lake.table import Table

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline

INGESTION = "ingestion"
FEATURES = "features"
DATASETS = "datasets"
MODELS = "models"
MONITORING = "monitoring"

# Names of a table's asset checks, one for each action of the gate.
GATE_CHECKS = {action: f"gate_{action}" for action in ("block", "quarantine", "warn")}
MONITOR = "monitor"


def source_key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["sources", name])


def table_key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["tables", name])


def view_key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["features", name])


def release_key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["datasets", name])


def model_key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["models", name])


def monitor_key(monitor: Sequence[str], part: str) -> dg.AssetKey:
    """Return the key of a monitor's asset; `monitor` is its path, see `monitor_path`."""
    return dg.AssetKey(["monitoring", *monitor, part])


def monitor_path(pipeline: "Pipeline", monitor: str) -> tuple[str, ...]:
    """Return the path of a monitor in the asset graph: the first has the pipeline's name."""
    first = pipeline.monitors[0].name
    return (pipeline.name,) if monitor == first else (pipeline.name, monitor)


def monitor_suffix(pipeline: "Pipeline", monitor: str) -> str:
    """Return the ending of the names of a monitor's job and sensor; empty for the first."""
    return "".join(f"_{name}" for name in monitor_path(pipeline, monitor)[1:])


def op_name(key: dg.AssetKey) -> str:
    """Return the op name of an asset, which is Dagster's default for this key."""
    return "__".join(key.path)


def owners(owner: str) -> Sequence[str]:
    """Return a contract's owner in Dagster's form: an e-mail address, or `team:name`."""
    if not owner:
        return []
    return [owner if "@" in owner or owner.startswith("team:") else f"team:{owner}"]


def partitioned(tables: Sequence[Table]) -> list[Table]:
    """Return the tables that are partitioned by day."""
    return [table for table in tables if table.partitioned]


def snapshots(tables: Sequence[Table]) -> list[Table]:
    """Return the tables that are delivered as full snapshots."""
    return [table for table in tables if not table.partitioned]


def stored(views: Sequence[View]) -> list[FeatureView | Lookup]:
    """Return the views that have assets; row transforms are computed on request and not stored."""
    return [view for view in views if isinstance(view, FeatureView | Lookup)]
