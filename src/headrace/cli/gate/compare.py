"""`headrace gate compare` and `gate export`: comparison of two batches, and export of a verdict."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from headrace.cli.options import AsJson, TableName
from headrace.cli.output import emit_json, explained, grid, out

if TYPE_CHECKING:
    from headrace.core.home import Home
    from headrace.gates.compare import ColumnComparison, Stats
    from headrace.lake.batch_comparison import BatchVerdict
    from headrace.lake.table import Table

BATCH = "Partition (2013-02-12, or `snapshot`), or the start of a batch id."


@explained
def compare(
    table: TableName,
    batch: Annotated[str, typer.Argument(help=BATCH)],
    other: Annotated[
        str | None,
        typer.Argument(help="Batch to compare with; default: the last good one before it."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Compare the columns of two batches, largest difference first.

    `distance` is 0% for identical distributions and 100% for disjoint ones: for numbers the largest
    difference between the cumulative distributions, for text the share of rows that would have to
    change to make them equal. `usual` is the largest distance between consecutive good batches. A
    blocked batch is read from its raw file.

    For example:

      headrace gate compare weather 2013-07-22
    """
    from headrace.core.home import Home
    from headrace.lake.batch_comparison import compare_batches

    home = Home.find()
    declared = _table(table)
    subject, reference, before = _pair(home, declared, batch, other)
    result = compare_batches(home, declared, subject, reference, before)
    if as_json:
        document = {
            "table": table,
            "this": _as_json(subject),
            "other": _as_json(reference),
            **result.to_json(),
        }
        emit_json(document)
        return
    slots = f"{table} {subject[0].slot} ({result.rows:,} rows)"
    grid(
        f"{slots} against {reference[0].slot} ({result.other_rows:,} rows)",
        ["column", "distance#", "usual#", "", "nulls#", "distinct#", "min#", "median#", "max#"],
        [row for column in result.columns for row in _rows(column)],
    )
    odd = [c for c in result.columns if c.outside]
    for column in odd:
        low, high = column.outside or (None, None)
        out.print(Text(f"{column.name} is far outside {low} to {high}, the range of good batches"))


def _rows(column: "ColumnComparison") -> list[list[object]]:
    """Return two rows per column: one for this batch, one for the other."""
    usual = "" if column.usual is None else _percent(column.usual)
    return [
        [column.name, _percent(column.distance), usual, "this", *_stats(column.this)],
        ["", "", "", "other", *_stats(column.other)],
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _stats(of: "Stats | None") -> list[str]:
    from headrace.web import wording

    if of is None:
        return ["no such column", "", "", "", ""]
    ends = (of.low, of.median, of.high)
    return [
        f"{of.nulls:,}", f"{of.distinct:,}", *("" if v is None else wording.value(v) for v in ends)
    ]  # fmt: skip


@explained
def export(
    table: TableName,
    batch: Annotated[str, typer.Argument(help=BATCH)],
) -> None:
    """Print a verdict as a Great Expectations validation result (JSON).

    The output is for tools that read the ExpectationSuiteValidationResult of Great Expectations
    1.24. Checks of the contract appear as `headrace_...`, and `meta.headrace` contains the verdict.
    """
    from headrace.core.home import Home
    from headrace.gates import Judgement
    from headrace.gates.contract_units import scales_of
    from headrace.gates.gx.results import gx_document
    from headrace.reports.batch.shared_facts import one_batch

    declared = _table(table)
    row = one_batch(Home.find(), declared, batch)
    judgement = Judgement.from_json(json.dumps(row["judgement"]))
    contract = declared.contract
    emit_json(
        gx_document(judgement, declared.suite, row, contract.primary_key, scales_of(contract))
    )


def _table(name: str) -> "Table":
    from headrace.pipeline import project_pipelines
    from headrace.reports.batch.shared_facts import pipeline_of

    return pipeline_of(project_pipelines(), name).table(name)


def _pair(
    home: "Home", table: "Table", batch: str, other: str | None
) -> "tuple[BatchVerdict, BatchVerdict, list[BatchVerdict]]":
    """Return the batch, the batch to compare it with, and the good batches before it."""
    from headrace.core.errors import DeclarationError
    from headrace.lake.batch_comparison import judged_batches
    from headrace.reports.batch.shared_facts import one_batch

    history = judged_batches(home, table.name)
    subject = history.of(str(one_batch(home, table, batch)["batch"]))
    before = history.good_before(subject[0])
    if other is not None:
        return subject, history.of(str(one_batch(home, table, other)["batch"])), before
    if not before:
        raise DeclarationError(
            f"there is no good batch of {table.name} before {subject[0].slot}",
            fix="name the batch to compare with",
        )
    return subject, before[-1], before


def _as_json(view: "BatchVerdict") -> dict[str, Any]:
    batch = view[0]
    return {"slot": batch.slot, "batch": batch.batch_id, "state": batch.state}
