"""Serving over what a pipeline has published."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from headrace.home import Home
from headrace.lake.history import history
from headrace.lake.tables import Lake
from headrace.pipeline.declare import Pipeline
from headrace.serving import FeatureService, ServedLog


@dataclass(frozen=True)
class LakeTables:
    """The published tables of a home, as a feature service reads them."""

    home: Home

    def snapshot_id(self, table: str) -> int | None:
        return Lake(self.home).snapshot_id(table)

    def rows(self, table: str, columns: list[str], snapshot_id: int) -> pa.Table:
        return history(self.home, table, columns, snapshot_id=snapshot_id)

    def snapshots_until(self, table: str, moment: int) -> list[int]:
        """Snapshots that are still known and were committed by `moment`, oldest first."""
        plan = Lake(self.home).plan(table)
        known = plan.committed_at if plan else {}
        return [one for one, at in sorted(known.items(), key=lambda one: one[1]) if at <= moment]


def feature_service(pipeline: Pipeline, home: Home) -> FeatureService:
    """Answers requests with the pipeline's views over what is published under `home`."""
    return FeatureService(
        pipeline.spine, pipeline.views, pipeline.contracts, LakeTables(home), pipeline.mode
    )


def served_log(pipeline: Pipeline, home: Home, *, share: float = 1.0) -> ServedLog:
    """The pipeline's log of answers, `share` of its entities."""
    return ServedLog(log_path(pipeline, home), share=share)


def log_path(pipeline: Pipeline, home: Home) -> Path:
    """Where the log of a pipeline is, or will be."""
    return home.root / "served" / f"{pipeline.name}.sqlite"
