"""Tables that are shown as cards on a phone, and remain tables for screen readers."""

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.web.html import Child, Html, element


@dataclass(frozen=True)
class TableRow:
    """Row of a table: its header, and cells of (label on a phone's card or "", content)."""

    head: Child
    cells: tuple[tuple[str, Child], ...]


def table(caption: str, heads: Sequence[str], rows: Sequence[TableRow]) -> Html:
    """Return a table with explicit ARIA roles, which the layout as cards would remove."""
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


def _row(row: TableRow) -> Html:
    cells = [
        element("td", content, data_label=label or None, role="cell")
        for label, content in row.cells
    ]
    return element("tr", element("th", row.head, scope="row", role="rowheader"), cells, role="row")
