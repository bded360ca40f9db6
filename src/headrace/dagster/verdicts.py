"""The gate's verdicts as evaluations of the check `gate`, and as the failure of a step."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from headrace.dagster import metadata, names
from headrace.lake.slots import SlotResult
from headrace.lake.table import Table

NAMED = 10


def evaluations(
    table: Table,
    results: Sequence[SlotResult],
    status: Mapping[str, Any],
    location: str = "",
) -> Iterator[dg.AssetCheckEvaluation]:
    """One for each day that did not pass, then one for the table, which is what the UI shows.

    A passing day of a range has none: 365 events would say what one table of days says.
    """
    for result in results:
        if table.partitioned and (len(results) == 1 or not metadata.passed(result)):
            yield of_slot(table, result, location)
    yield of_table(table, results, status)


def observations(
    table: Table, results: Sequence[SlotResult], location: str = ""
) -> Iterator[dg.AssetObservation]:
    """For slots that are not materialised: the page of such a day would say nothing else."""
    for result in results:
        if table.partitioned and result.state not in (metadata.PUBLISHED, "not_expected"):
            yield dg.AssetObservation(
                names.table_key(table.name),
                partition=result.slot,
                description=metadata.summary([result]),
                metadata=metadata.slot_report(result, location),
            )


def failure(table: Table, stopped: Sequence[SlotResult]) -> dg.Failure:
    """Says which slots were not published, why, and what to do."""
    slots = ", ".join(result.slot for result in stopped[:NAMED])
    more = f" and {len(stopped) - NAMED} more" if len(stopped) > NAMED else ""
    why = [
        f"{result.slot}: {reason}" for result in stopped[:NAMED] for reason in result.reasons[:3]
    ]
    return dg.Failure(
        "\n".join(
            [
                f"{table.name}: {len(stopped)} not published: {slots}{more}",
                *(f"  {line}" for line in why),
                "Everything else of this run was published; readers keep the last good state.",
                "After a corrected delivery re-run only these.",
            ]
        ),
        allow_retries=False,
    )


def of_slot(table: Table, result: SlotResult, location: str = "") -> dg.AssetCheckEvaluation:
    """ERROR where the day is held back, WARN where it is published all the same."""
    return dg.AssetCheckEvaluation(
        asset_key=names.table_key(table.name),
        check_name=names.GATE,
        passed=metadata.passed(result),
        severity=_severity(error=metadata.stopped(result)),
        partition=result.slot,
        metadata=metadata.slot_report(result, location),
        description=metadata.summary([result]),
    )


def of_table(
    table: Table, results: Sequence[SlotResult], status: Mapping[str, Any]
) -> dg.AssetCheckEvaluation:
    """Green only if nothing is pending, also from earlier runs."""
    stopped = any(metadata.stopped(result) for result in results)
    pending = stopped or bool(status["pending"])
    return dg.AssetCheckEvaluation(
        asset_key=names.table_key(table.name),
        check_name=names.GATE,
        passed=not pending and all(metadata.passed(result) for result in results),
        severity=_severity(error=pending),
        metadata=metadata.run_report(results, status),
        description=metadata.summary(results),
    )


def _severity(*, error: bool) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if error else dg.AssetCheckSeverity.WARN
