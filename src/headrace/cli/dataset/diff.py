"""`headrace dataset diff`: what differs between two releases."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from headrace.cli.output import BLOCKED, emit_json, explained, grid, out

if TYPE_CHECKING:
    from headrace.datasets.diff import Diff
    from headrace.datasets.diff.model import Change, Row

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document (docs/reference/dataset-diff.md).")
]
_MOST, _APART = 20, 0.01  # columns that are listed: no more, nor those that hardly moved


@explained
def diff(
    before: Annotated[str, typer.Argument(help="The first release: flights_delay@1.0.0.")],
    after: Annotated[str, typer.Argument(help="The second one: flights_delay@latest.")],
    *,
    other_store: Annotated[
        str | None, typer.Option("--store", help="Where the second one lies, if elsewhere.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write a page that needs nothing else.")
    ] = None,
    rows: Annotated[int, typer.Option("--rows", min=0, help="Examples of each kind.")] = 5,
    allow_tainted: Annotated[
        str | None,
        typer.Option("--allow-tainted", help="Why to open one that is tainted; it is recorded."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what differs: rows and cells by key, columns, splits, meaning and governance.

    Parts that both releases have are not read, so that a small change is found at once. Exit code
    0 says that they are equal, 1 that they differ, as `diff` does; 2 and more, that it could not be
    told.

    `headrace dataset diff flights_delay@1.0.0 flights_delay@latest --html diff.html`
    """
    from headrace.core.files import write_atomically
    from headrace.datasets import open_release
    from headrace.datasets.diff import diff as compare

    found = compare(
        open_release(before, allow_tainted=allow_tainted),
        open_release(after, other_store, allow_tainted=allow_tainted),
        rows=rows,
    )
    if html is not None:
        write_atomically(html, found.html().encode())
    if as_json:
        emit_json(found.to_json())
    else:
        _tell(found)
        if html is not None:
            out.print(f"page: {html}", highlight=False, soft_wrap=True)
    if not found.equal:
        raise typer.Exit(BLOCKED)


def _tell(found: "Diff") -> None:
    from headrace.reports.diff.wording import headline

    said = Text.assemble((f"{found.before} → {found.after}: ", "bold"), headline(found))
    out.print(said, soft_wrap=True)
    for reason in found.reasons:
        out.print(Text(f"  {found.change}: {reason}"), soft_wrap=True)
    if found.keys is None:
        out.print(Text("The keys differ: no row of one could be found in the other.", "yellow"))
    rows = found.rows
    grid(
        "rows",
        ["before#", "after#", "added#", "removed#", "changed#", "moved#", "same#", "not read#"],
        [[rows.before, rows.after, rows.added, rows.removed, rows.changed, rows.moved, rows.same,
          rows.skipped]],
    )  # fmt: skip
    _tell_splits(found)
    _tell_columns(found)
    if found.schema:
        heads = ["column", "what", "before", "after"]
        grid("schema", heads, [[c.column, c.what, c.before, c.after] for c in found.schema])
    for title, changes in (("meaning", found.meaning), ("governance", found.governance)):
        _tell_changes(title, changes)
    _tell_rows(found)


def _tell_splits(found: "Diff") -> None:
    rows = found.rows
    names = sorted({*rows.added_by_split, *rows.removed_by_split}, key=str)
    if names:
        counts = [
            [name, rows.added_by_split.get(name, 0), rows.removed_by_split.get(name, 0)]
            for name in names
        ]
        grid("rows that came and went", ["split", "added#", "removed#"], counts)
    if rows.moves:
        grid("rows in another split", ["from", "to", "rows#"], [list(move) for move in rows.moves])


def _tell_columns(found: "Diff") -> None:
    moved = [c for c in found.columns if c.changed or (c.distribution and c.distribution.distance)]
    far = [c for c in moved if c.changed or (c.distribution and c.distribution.distance >= _APART)]
    lines = []
    for column in far[:_MOST]:
        told = column.distribution
        apart = [f"{100 * told.distance:.2f}%", f"{told.psi:.3g}"] if told else ["", ""]
        nulls = [column.before.nulls, column.after.nulls]
        means = [column.before.mean, column.after.mean]
        lines.append([column.name, column.role, column.changed, *apart, *nulls, *means])
    if lines:
        heads = ["column", "role", "cells changed#", "apart#", "PSI#", "nulls before#",
                 "after#", "mean before#", "after#"]  # fmt: skip
        grid("columns", heads, lines)
    if rest := len(moved) - len(lines):
        what = "more columns moved, less than these" if lines else "columns moved a little"
        out.print(f"{rest} {what}: --json or --html has all")


def _tell_changes(title: str, changes: "tuple[Change, ...]") -> None:
    from headrace.reports.diff.wording import changed

    lines = [list(changed(change)) for change in changes]
    if lines:
        grid(title, ["what", "before", "after"], lines)


def _tell_rows(found: "Diff") -> None:
    from headrace.reports.diff.wording import value

    rows = found.rows
    lines: list[list[object]] = [
        [
            "changed",
            _key(one.row),
            "; ".join(f"{name}: {value(a)} → {value(b)}" for name, (a, b) in one.cells.items()),
        ]
        for one in rows.examples_changed
    ]
    lines += [
        [kind, _key(one), f"{value(one.t)} in {one.split}"]
        for kind, listed in (("added", rows.examples_added), ("removed", rows.examples_removed))
        for one in listed
    ]
    lines += [
        ["moved", _key(one.row), f"{one.before} → {one.after}"] for one in rows.examples_moved
    ]
    if lines:
        grid("for example", ["row", "key", "what"], lines)


def _key(row: "Row") -> str:
    return ", ".join(f"{name}={value}" for name, value in row.key.items())
