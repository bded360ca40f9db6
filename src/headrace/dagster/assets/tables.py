"""Published tables as assets: each ingests its deliveries, and has three asset checks."""

from collections.abc import Callable, Iterator, Sequence

import dagster as dg

from headrace.core.home import Home
from headrace.core.progress import report
from headrace.dagster import asset_names, metadata
from headrace.dagster.assets.stage import Upstream
from headrace.dagster.checks import verdicts
from headrace.dagster.checks.ledger_days import ingested_span, ledger_results
from headrace.dagster.failures import readable
from headrace.dagster.sensors.recovery import mark
from headrace.lake.ledger.partition_state import SlotProgress, SlotResult
from headrace.lake.table import SNAPSHOT_SLOT, Table

FindHome = Callable[[], Home]
Published = dg.MaterializeResult[None]


def source_spec(table: Table) -> dg.AssetSpec:
    """Return the external asset of a table's source."""
    return dg.AssetSpec(
        asset_names.source_key(table.name),
        group_name=asset_names.INGESTION,
        description=f"Deliveries of {table.source.name}.",
        kinds={type(table.source).__name__.lower()},
        owners=asset_names.owners(table.contract.owner),
    )


def table_asset(
    table: Table,
    partitions: dg.PartitionsDefinition,
    home: FindHome = Home.find,
    *,
    deps: Upstream,
) -> dg.AssetsDefinition:
    """Return the asset of a table with daily partitions; only published days are materialised.

    In a run over a range of days the asset logs its own events, because a returned result, even
    None, would mark all days as materialised, including blocked ones. After all days are processed
    the step fails if any day was not published.
    """
    return _asset(table, partitions, home, deps)


def snapshot_asset(
    table: Table, home: FindHome = Home.find, *, deps: Upstream
) -> dg.AssetsDefinition:
    """Return the asset of a table that is delivered as full snapshots, without partitions."""
    return _asset(table, None, home, deps)


_CHECKS = {
    "block": "Batches that the gate blocks are not published. Evaluated for each such day",
    "quarantine": "Rows that fail go to quarantine, the others are published. Evaluated for each"
    " such day",
    "warn": "Everything is published. Evaluated for each day with a warning, and each missing day",
}


def gate_checks(table: Table, home: FindHome = Home.find) -> dg.AssetChecksDefinition:
    """Return one check for each action of the gate: block (blocking), quarantine and warn.

    The asset itself logs the gate's verdicts, so the checks are defined separately and the ingest
    jobs omit them. Otherwise a run over a range would plan each check for every day, and days
    without an evaluation would be shown as never executed. When the checks run on their own, they
    read the verdicts from the ledger and do not validate again.
    """
    rules = f"contract {table.contract.version} and the suite {table.suite.name}"

    @dg.multi_asset_check(
        name=f"{asset_names.op_name(asset_names.table_key(table.name))}__gate",
        specs=[
            dg.AssetCheckSpec(
                name,
                asset=asset_names.table_key(table.name),
                blocking=action == "block",
                description=f"{_CHECKS[action]}, by {rules}; no evaluation means that none failed.",
            )
            for action, name in asset_names.GATE_CHECKS.items()
        ],
        can_subset=True,  # each has its own button in the UI
    )
    def gate(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        from headrace.lake.ledger.conservation import table_status

        span, where = ingested_span(context.run, table), home()
        results = ledger_results(where, table, span)
        status = table_status(where, table)
        selected = {key.name for key in context.selected_asset_check_keys}
        for check_result in verdicts.current(results, status, checks_only=span is None):
            if check_result.check_name in selected:
                yield check_result

    return gate


def _asset(
    table: Table, partitions: dg.PartitionsDefinition | None, home: FindHome, deps: Upstream
) -> dg.AssetsDefinition:
    contract = table.contract

    @dg.asset(
        key=asset_names.table_key(table.name),
        partitions_def=partitions,
        output_required=False,
        deps=deps,
        group_name=asset_names.INGESTION,
        description=contract.description,
        kinds={"iceberg", contract.kind},
        owners=asset_names.owners(contract.owner),
        metadata={
            "dagster/column_schema": metadata.column_schema(contract),
            "contract": f"{contract.table} {contract.version}",
            "suite": f"{table.suite.name} {table.suite.version}",
        },
    )
    def published(context: dg.AssetExecutionContext) -> Iterator[Published]:
        slots = list(context.partition_keys) if partitions else [SNAPSHOT_SLOT]
        yield from _ingest(context, table, slots, home())

    return published


def _ingest(
    context: dg.AssetExecutionContext, table: Table, slots: Sequence[str], home: Home
) -> Iterator[Published]:
    from headrace.alerts import report_unreadable_sources
    from headrace.lake.ingest.protocol import ingest
    from headrace.lake.ledger.conservation import table_status

    mark(context)
    with readable():
        results = ingest(table, slots, home, on_slot=_report_progress)
        report_unreadable_sources(home, table, results)
        status = table_status(home, table)
    if len(results) > 1:
        _log_materialisations(context, table, results)
    before = verdicts.state_before(context.instance, table, context.run.run_id)
    for event in verdicts.evaluations(table, results, status, before):
        context.log_event(event)
    if stopped := [result for result in results if metadata.stopped(result)]:
        raise verdicts.failure(table, stopped)
    # The result of a single partition is yielded, so that Dagster runs planned checks after it.
    if len(results) == 1 and results[0].state == metadata.PUBLISHED:
        yield dg.MaterializeResult(metadata=metadata.slot_metadata(results[0]))


def _log_materialisations(
    context: dg.AssetExecutionContext, table: Table, results: Sequence[SlotResult]
) -> None:
    key = asset_names.table_key(table.name)
    for n, result in enumerate(results, 1):
        if result.state == metadata.PUBLISHED:
            entries = metadata.slot_metadata(result)
            context.log_event(dg.AssetMaterialization(key, partition=result.slot, metadata=entries))
        report(f"log {table.name}", n, len(results), result.slot)


def _report_progress(at: SlotProgress) -> None:
    report(f"ingest {at.table}", at.finished, at.total, f"{at.slot} {at.verdict}")
