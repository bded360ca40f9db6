"""Tables that become cards on a phone, and stay tables for who has them read out."""

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.web.html import Child, Html, element


@dataclass(frozen=True)
class Row:
    """`head` names the row; each cell is (what a card calls it, "" for nothing; its content)."""

    head: Child
    cells: tuple[tuple[str, Child], ...]


def table(caption: str, heads: Sequence[str], rows: Sequence[Row]) -> Html:
    """Roles are spelled out, since laying a table out as cards would take them away."""
    return element(
        "table",
        element("caption", caption),
        element("thead", element("tr", [_head(name) for name in heads], role="row"),
                role="rowgroup"),
        element("tbody", [_row(row) for row in rows], role="rowgroup"),
        class_="rows",
        role="table",
    )  # fmt: skip


def _head(name: str) -> Html:
    return element("th", name, scope="col", role="columnheader")


def _row(row: Row) -> Html:
    cells = [
        element("td", content, data_label=label or None, role="cell")
        for label, content in row.cells
    ]
    return element("tr", element("th", row.head, scope="row", role="rowheader"), cells, role="row")
