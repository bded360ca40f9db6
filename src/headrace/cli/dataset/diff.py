"""`headrace dataset diff`: differences between two releases."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from headrace.cli.output import BLOCKED, emit_json, explained, grid, out

if TYPE_CHECKING:
    from headrace.datasets.diff import ReleaseDiff
    from headrace.datasets.diff.model import MetadataChange, Row

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document (docs/reference/dataset-diff.md).")
]
_LISTED, _APART = 20, 0.01  # number of columns to list, and smallest distance of a listed column


@explained
def diff(
    before: Annotated[str, typer.Argument(help="First release: flights_delay@1.0.0.")],
    after: Annotated[str, typer.Argument(help="Second release: flights_delay@latest.")],
    *,
    other_store: Annotated[
        str | None,
        typer.Option("--store", help="Store of the second release; default: the project's store."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write a self-contained page to this file.")
    ] = None,
    rows: Annotated[
        int, typer.Option("--rows", min=0, help="Number of examples of each kind.")
    ] = 5,
    allow_tainted: Annotated[
        str | None,
        typer.Option("--allow-tainted", help="Reason to open a tainted release; it is recorded."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two releases: rows and cells by key, columns, splits, meaning and governance.

    Part files that both releases share are not read, so a small change is found quickly. Exit
    codes, as in Unix `diff`: 0, the releases are equal; 1, they differ; 2 or more, the comparison
    failed.

    For example:

      headrace dataset diff flights_delay@1.0.0 flights_delay@latest --html diff.html
    """
    from headrace.core.files import write_atomically
    from headrace.datasets import open_release
    from headrace.datasets.diff import diff as compare

    difference = compare(
        open_release(before, allow_tainted=allow_tainted),
        open_release(after, other_store, allow_tainted=allow_tainted),
        rows=rows,
    )
    if html is not None:
        write_atomically(html, difference.html().encode())
    if as_json:
        emit_json(difference.to_json())
    else:
        _print_diff(difference)
        if html is not None:
            out.print(f"page: {html}", highlight=False, soft_wrap=True)
    if not difference.equal:
        raise typer.Exit(BLOCKED)


def _print_diff(difference: "ReleaseDiff") -> None:
    from headrace.reports.diff.wording import headline

    summary = Text.assemble(
        (f"{difference.before} → {difference.after}: ", "bold"), headline(difference)
    )
    out.print(summary, soft_wrap=True)
    for reason in difference.reasons:
        out.print(Text(f"  {difference.change}: {reason}"), soft_wrap=True)
    if difference.keys is None:
        out.print(Text("The keys differ, so rows cannot be matched.", "yellow"))
    rows = difference.rows
    grid(
        "rows",
        ["before#", "after#", "added#", "removed#", "changed#", "moved#", "same#", "not read#"],
        [[rows.before, rows.after, rows.added, rows.removed, rows.changed, rows.moved, rows.same,
          rows.skipped]],
    )  # fmt: skip
    _tell_splits(difference)
    _tell_columns(difference)
    if difference.schema:
        heads = ["column", "what", "before", "after"]
        grid("schema", heads, [[c.column, c.what, c.before, c.after] for c in difference.schema])
    for title, changes in (("meaning", difference.meaning), ("governance", difference.governance)):
        _tell_changes(title, changes)
    _tell_rows(difference)


def _tell_splits(difference: "ReleaseDiff") -> None:
    rows = difference.rows
    names = sorted({*rows.added_by_split, *rows.removed_by_split}, key=str)
    if names:
        counts = [
            [name, rows.added_by_split.get(name, 0), rows.removed_by_split.get(name, 0)]
            for name in names
        ]
        grid("rows added and removed", ["split", "added#", "removed#"], counts)
    if rows.moves:
        grid("rows in another split", ["from", "to", "rows#"], [list(move) for move in rows.moves])


def _tell_columns(difference: "ReleaseDiff") -> None:
    differing = [
        c for c in difference.columns if c.changed or (c.distribution and c.distribution.distance)
    ]
    far = [
        c for c in differing if c.changed or (c.distribution and c.distribution.distance >= _APART)
    ]
    lines = []
    for column in far[:_LISTED]:
        distribution = column.distribution
        apart = (
            [f"{100 * distribution.distance:.2f}%", f"{distribution.psi:.3g}"]
            if distribution
            else ["", ""]
        )
        nulls = [column.before.nulls, column.after.nulls]
        means = [column.before.mean, column.after.mean]
        lines.append([column.name, column.role, column.changed, *apart, *nulls, *means])
    if lines:
        heads = ["column", "role", "cells changed#", "distance#", "PSI#", "nulls before#",
                 "after#", "mean before#", "after#"]  # fmt: skip
        grid("columns", heads, lines)
    if rest := len(differing) - len(lines):
        what = "more columns differ less than these" if lines else "columns differ slightly"
        out.print(f"{rest} {what}: --json or --html lists them")


def _tell_changes(title: str, changes: "tuple[MetadataChange, ...]") -> None:
    from headrace.reports.diff.wording import changed

    lines = [list(changed(change)) for change in changes]
    if lines:
        grid(title, ["what", "before", "after"], lines)


def _tell_rows(difference: "ReleaseDiff") -> None:
    from headrace.reports.diff.wording import value

    rows = difference.rows
    lines: list[list[object]] = [
        [
            "changed",
            _key(change.row),
            "; ".join(f"{name}: {value(a)} → {value(b)}" for name, (a, b) in change.cells.items()),
        ]
        for change in rows.examples_changed
    ]
    lines += [
        [kind, _key(row), f"{value(row.t)} in {row.split}"]
        for kind, listed in (("added", rows.examples_added), ("removed", rows.examples_removed))
        for row in listed
    ]
    lines += [
        ["moved", _key(move.row), f"{move.before} → {move.after}"] for move in rows.examples_moved
    ]
    if lines:
        grid("for example", ["row", "key", "what"], lines)


def _key(row: "Row") -> str:
    return ", ".join(f"{name}={value}" for name, value in row.key.items())
