"""`headrace gate compare` and `gate export`: one batch against another, or for other tools."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from headrace.cli.output import emit_json, explained, grid, out

if TYPE_CHECKING:
    from headrace.core.home import Home
    from headrace.gates.compare import Compared, Stats
    from headrace.lake.batch_comparison import Judged
    from headrace.lake.table import Table

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]
Which = "A day (2013-02-12), `snapshot`, or the start of a batch id."


@explained
def compare(
    table: Annotated[str, typer.Argument(help="A table, as in `headrace gate ls`.")],
    batch: Annotated[str, typer.Argument(help=Which)],
    other: Annotated[
        str | None, typer.Argument(help="What to hold it against; the last good batch before it.")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Compare the columns of a batch with those of another, biggest differences first.

    `moved` is 0% where two columns are alike and 100% where they have nothing in common: of numbers
    the greatest difference of the shares below any value, of text the share of rows that would have
    to change; `usual` is the most that good batches in a row moved. A blocked batch is read from
    its delivered bytes.
    """
    from headrace.core.home import Home
    from headrace.lake.batch_comparison import compare_batches

    home = Home.find()
    found = _table(table)
    this, that, before = _pair(home, found, batch, other)
    result = compare_batches(home, found, this, that, before)
    if as_json:
        told = {"table": table, "this": _told(this), "other": _told(that), **result.to_json()}
        emit_json(told)
        return
    slots = f"{table} {this[0].slot} ({result.rows:,} rows)"
    grid(
        f"{slots} against {that[0].slot} ({result.other_rows:,} rows)",
        ["column", "moved#", "usual#", "", "nulls#", "distinct#", "min#", "median#", "max#"],
        [row for column in result.columns for row in _rows(column)],
    )
    odd = [c for c in result.columns if c.outside]
    for column in odd:
        low, high = column.outside or (None, None)
        out.print(Text(f"{column.name} goes far beyond {low} to {high}, the range of good batches"))


def _rows(column: "Compared") -> list[list[object]]:
    """Two lines a column: this batch's, and the other's."""
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
    table: Annotated[str, typer.Argument(help="A table, as in `headrace gate ls`.")],
    batch: Annotated[str, typer.Argument(help=Which)],
) -> None:
    """Print a verdict as the JSON document that Great Expectations writes of a validation.

    For tools that read an ExpectationSuiteValidationResult of Great Expectations 1.24. Checks of
    the contract stand in it as `headrace_...`, and `meta.headrace` has the verdict.
    """
    from headrace.core.home import Home
    from headrace.gates import Judgement
    from headrace.gates.gx.results import gx_document
    from headrace.gates.units import scales_of
    from headrace.reports.batch.shared_facts import one_batch

    found = _table(table)
    row = one_batch(Home.find(), found, batch)
    judgement = Judgement.from_json(json.dumps(row["judgement"]))
    contract = found.contract
    emit_json(gx_document(judgement, found.suite, row, contract.primary_key, scales_of(contract)))


def _table(name: str) -> "Table":
    from headrace.pipeline import project_pipelines
    from headrace.reports.batch.shared_facts import pipeline_of

    return pipeline_of(project_pipelines(), name).table(name)


def _pair(
    home: "Home", table: "Table", batch: str, other: str | None
) -> "tuple[Judged, Judged, list[Judged]]":
    """The batch, the one it is held against, and the good ones before it."""
    from headrace.core.errors import DeclarationError
    from headrace.lake.batch_comparison import judged_batches
    from headrace.reports.batch.shared_facts import one_batch

    known = judged_batches(home, table.name)
    this = known.of(str(one_batch(home, table, batch)["batch"]))
    before = known.good_before(this[0])
    if other is not None:
        return this, known.of(str(one_batch(home, table, other)["batch"])), before
    if not before:
        raise DeclarationError(
            f"there is no good batch of {table.name} before {this[0].slot}",
            fix="name the batch to hold it against",
        )
    return this, before[-1], before


def _told(judged: "Judged") -> dict[str, Any]:
    batch = judged[0]
    return {"slot": batch.slot, "batch": batch.batch_id, "state": batch.state}
