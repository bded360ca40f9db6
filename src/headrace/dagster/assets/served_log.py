"""The served log as an asset: a run recomputes every logged vector and compares both.

The asset check fails on any difference and names the cause.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from headrace.core.home import Home
from headrace.dagster import asset_names, metadata
from headrace.dagster.assets.stage import Upstream
from headrace.dagster.failures import readable

if TYPE_CHECKING:
    # The type that `define_asset_job` returns has no public name.
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition as AssetJob,
    )

    from headrace.pipeline import Pipeline
    from headrace.serving import AuditReport

SERVING = "serving"
CHECK = "served_is_trained"
AUDIT = "audit"
LISTED = 20
MEANS = {
    "definition mismatch": "The feature definitions have changed. Serve and train from one "
    "revision, or retrain.",
    "late commit": "Rows usable at the requested time were published after the answer. Find the "
    "late delivery; in mode `recorded` training does not see it either.",
    "stale store": "The rows that explain the difference were already published when the answer "
    "was given. Sync the store, and find out why it was behind.",
    "clock": "The values belong to another time than the logged one. Correct the server's clock, "
    "or the caller's time zone.",
    "value": "Recomputing from the tables as they were gives other bytes, so serving computes "
    "something else. Keep the log, and take the server out of service.",
    "frontier gone": "The snapshots that the server read have expired, so the cause is unknown. "
    "Keep snapshots for as long as the log is audited.",
}


def served_key(pipeline: str) -> dg.AssetKey:
    return dg.AssetKey([SERVING, pipeline, "served_log"])


def served_asset(
    pipeline: "Pipeline", home: Callable[[], Home] = Home.find, *, deps: Upstream
) -> dg.AssetsDefinition:
    """Return the asset of the served log; a run compares the log with the published tables."""
    key = served_key(pipeline.name)

    @dg.asset(
        key=key,
        deps=deps,
        group_name=SERVING,
        description="Every logged vector, recomputed as for training and compared byte by byte.",
        kinds={"sqlite"},
        owners=list(asset_names.owners(pipeline.tables[0].contract.owner)),
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=key,
                description="Served vectors equal what training computes, to the last bit.",
            )
        ],
    )
    def served_log() -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        from headrace.pipeline.serving.services import audit_served

        with readable():
            report = audit_served(pipeline, home())
        entries = _report_entries(report)
        yield dg.MaterializeResult(metadata=entries)
        yield dg.AssetCheckResult(
            passed=not report.differences,
            check_name=CHECK,
            asset_key=key,
            metadata=entries,
            description=_summary(report),
        )

    return served_log


def audit_job(pipeline: "Pipeline") -> "AssetJob":
    return dg.define_asset_job(
        AUDIT,
        selection=dg.AssetSelection.assets(served_key(pipeline.name)),
        description="Recompute served vectors as for training, and compare both.",
    )


def audit_schedule() -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name="daily_audit",
        job_name=AUDIT,
        cron_schedule="30 5 * * *",
        execution_timezone="UTC",
        description="Recompute served vectors as for training, and compare both, after the build.",
    )


def _summary(report: "AuditReport") -> str:
    if not report.compared:
        return "nothing was served yet"
    causes = report.to_json()["causes"]
    if not causes:
        return f"{report.compared:,} vectors, all equal"
    counted = ", ".join(f"{count:,} {cause}" for cause, count in causes.items())
    return f"{len(report.differences):,} of {report.compared:,} vectors differ: {counted}"


def _report_entries(report: "AuditReport") -> dict[str, Any]:
    figures = report.to_json()
    return {
        "compared": figures["compared"],
        "different": figures["different"],
        "report": dg.MetadataValue.md(_page(report)),
    }


def _page(report: "AuditReport") -> str:
    parts = [_summary(report)]
    causes = report.to_json()["causes"]
    if causes:
        rows = [(cause, f"{count:,}", MEANS[cause]) for cause, count in causes.items()]
        parts.append(metadata.table(("cause", "vectors", "what to do"), rows))
        listed = [
            (
                str(difference.sequence),
                difference.cause,
                difference.detail,
                ", ".join(difference.features[:LISTED]),
            )
            for difference in report.differences[:LISTED]
        ]
        parts.append(metadata.table(("row of the log", "cause", "detail", "features"), listed))
        unlisted = len(report.differences) - LISTED
        if unlisted > 0:
            parts.append(f"and {unlisted:,} more")
    return "\n\n".join(parts)
