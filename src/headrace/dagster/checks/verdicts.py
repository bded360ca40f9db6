"""The gate's verdicts as evaluations of three asset checks, and as a step failure.

There is one check per action. A day is evaluated only if it did not pass. When nothing fails any
more, one passing evaluation turns the check green, because Dagster shows the latest evaluation.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from headrace.dagster import asset_names, metadata
from headrace.dagster.links import report_link
from headrace.gates import Result
from headrace.lake.ledger.partition_state import SlotResult
from headrace.lake.table import Table

SLOTS_LISTED = 10
_OF_VERDICT = {"QUARANTINE": "quarantine", "WARN": "warn", "MISSING": "warn"}


@dataclass(frozen=True)
class Before:
    """The state of a table's checks before an evaluation.

    Attributes:
        failed: the checks whose latest evaluation failed, each with the day of that evaluation.
        planned: the checks that Dagster has planned for this run; without an evaluation their
            history would show them as never executed.
    """

    failed: Mapping[str, str | None]
    planned: frozenset[str]


def failed_actions(result: SlotResult) -> set[str]:
    """Return the actions of the asset checks that a partition fails: block, quarantine, warn.

    A published partition does not count as blocked, even if its batch was approved after failing.
    """
    if metadata.passed(result):
        return set()
    verdicts = {metadata.status_word(result), "QUARANTINE" if result.quarantined else ""}
    verdicts |= {str(check.verdict) for check in _checks(result)}
    actions = {action for verdict, action in _OF_VERDICT.items() if verdict in verdicts}
    return actions | ({"block"} if metadata.stopped(result) else set())


def _checks(result: SlotResult) -> list[Result]:
    return [Result.of(check) for check in (result.judgement or {}).get("results", ())]


def state_before(instance: dg.DagsterInstance, table: Table, run_id: str = "") -> Before:
    """Read the state of a table's checks from their latest evaluations in Dagster."""
    failed: dict[str, str | None] = {}
    planned: set[str] = set()
    for name in asset_names.GATE_CHECKS.values():
        key = dg.AssetCheckKey(asset_names.table_key(table.name), name)
        record = instance.get_latest_asset_check_evaluation_record(key)
        event = record.event.dagster_event if record and record.event else None
        data = event.event_specific_data if event else None
        if isinstance(data, dg.AssetCheckEvaluation):
            if not data.passed:
                failed[name] = data.partition
        elif record and record.run_id == run_id:
            planned.add(name)
    return Before(failed, frozenset(planned))


def evaluations(
    table: Table,
    results: Sequence[SlotResult],
    status: Mapping[str, Any],
    before: Before,
) -> Iterator[dg.AssetCheckEvaluation]:
    """Yield a failed evaluation for each check and each day that fails it.

    If several days fail a check, one more evaluation lists them in a table.

    Args:
        table: the table of these days.
        results: the results of a run or of a person's action, one per day.
        status: status of the whole table, from `headrace.lake.ledger.conservation.table_status`.
        before: the state of the checks before; a failed check passes again if nothing fails now.
    """
    for action, name in asset_names.GATE_CHECKS.items():
        bad = [result for result in results if action in failed_actions(result)]
        for result in bad:
            yield _of_day(table, action, result)
        if len(bad) > 1:
            yield _of_days(table, action, bad, status, passed=False)
        elif not bad and name in before.planned and len(results) == 1:
            yield _of_days(table, action, results, status, passed=True)
        elif not bad and name in before.failed:
            rows_held = action == "block" and bool(status["pending"])
            if not rows_held or _concerns(before.failed[name], results):
                yield _of_days(table, action, results, status, passed=not rows_held)


def _concerns(day: str | None, results: Sequence[SlotResult]) -> bool:
    """Return True if the evaluation of `day` concerns these results; None means several days."""
    return len(results) == 1 if day is None else day in {result.slot for result in results}


def current(
    results: Sequence[SlotResult], status: Mapping[str, Any], *, checks_only: bool
) -> Iterator[dg.AssetCheckResult]:
    """Yield the results of the checks when Dagster executes them, alone or after an ingest.

    Args:
        results: the days of the run, or the newest day.
        status: status of the whole table.
        checks_only: True if the run ingests nothing. In a run that ingests, days that an earlier
            run blocked do not stop the downstream assets, which use the days of this run.
    """
    for action in asset_names.GATE_CHECKS:
        rows_held = action == "block" and bool(status["pending"])
        bad = [result for result in results if action in failed_actions(result)]
        error = action == "block" and (checks_only or bool(bad))
        yield dg.AssetCheckResult(
            check_name=asset_names.GATE_CHECKS[action],
            passed=not bad and not rows_held,
            severity=_severity(error=error),
            description=_described(results, status, rows_held=rows_held),
            metadata=metadata.run_report(results, status),
        )


def failure(table: Table, stopped: Sequence[SlotResult]) -> dg.Failure:
    """Return a failure that lists the unpublished partitions, the reasons, and what to do.

    Its metadata links to the report of each partition.
    """
    slots = ", ".join(result.slot for result in stopped[:SLOTS_LISTED])
    unlisted = f" and {len(stopped) - SLOTS_LISTED} more" if len(stopped) > SLOTS_LISTED else ""
    why = [
        f"{result.slot}: {reason}"
        for result in stopped[:SLOTS_LISTED]
        for reason in result.reasons[:3]
    ]
    pages = {result.slot: report_link(result) for result in stopped[:SLOTS_LISTED]}
    return dg.Failure(
        "\n".join(
            [
                f"{table.name}: unpublished partitions ({len(stopped)}): {slots}{unlisted}",
                *(f"  {line}" for line in why),
                "Everything else of this run was published; readers keep the last good state.",
                "After corrected deliveries re-run only these partitions, or decide in a report.",
            ]
        ),
        metadata={slot: dg.MetadataValue.url(page) for slot, page in pages.items() if page},
        allow_retries=False,
    )


def _of_day(table: Table, action: str, result: SlotResult) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=asset_names.table_key(table.name),
        check_name=asset_names.GATE_CHECKS[action],
        passed=False,
        severity=_severity(error=action == "block"),
        partition=result.slot if table.partitioned else None,
        metadata=metadata.slot_report(result),
        description=metadata.summary([result]),
    )


def _of_days(
    table: Table,
    action: str,
    results: Sequence[SlotResult],
    status: Mapping[str, Any],
    *,
    passed: bool,
) -> dg.AssetCheckEvaluation:
    """Return an evaluation over several days, or a passing one that clears the check.

    A passing evaluation over a single day is recorded for the partition of that day.
    """
    single = table.partitioned and len(results) == 1 and passed
    return dg.AssetCheckEvaluation(
        asset_key=asset_names.table_key(table.name),
        check_name=asset_names.GATE_CHECKS[action],
        passed=passed,
        severity=_severity(error=action == "block"),
        partition=results[0].slot if single else None,
        metadata=metadata.run_report(results, status),
        description=_described(results, status, rows_held=action == "block" and not passed),
    )


def _described(results: Sequence[SlotResult], status: Mapping[str, Any], *, rows_held: bool) -> str:
    summary = metadata.summary(results)
    if not rows_held or any(map(metadata.stopped, results)):
        return summary
    return f"{summary}. Rows of other deliveries are pending: {status['pending']:,}"


def _severity(*, error: bool) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if error else dg.AssetCheckSeverity.WARN
