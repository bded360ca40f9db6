"""Notebook display of a release, in the notebook's own colours."""

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.datasets.reader import Dataset

_CELL = "padding:.15em .8em .15em 0;text-align:left;vertical-align:top;white-space:normal"
_RIGHT = "padding:.15em .8em .15em 0;text-align:right"
_MAX_NAMES = 8  # names of columns shown per role


def html(data: "Dataset") -> str:
    """HTML fragment that describes `data`, without scripts or network access."""
    manifest = data.manifest
    head = f"<b>{escape(data.ref)}</b>"
    if data.taints:
        head += ' <b style="color:#d33">TAINTED</b>'
    if manifest.description:
        head += f" {escape(manifest.description)}"
    where = f"<div>where {escape(str(data.where))}</div>" if data.where else ""
    licences = ", ".join(manifest.licences)
    foot = f"content hash <code>{data.content_hash[:16]}</code> · {escape(licences)}"
    return (
        f'<div style="font-size:90%">{head}{where}{_splits(data)}{_columns(data)}'
        f'<div style="opacity:.7">{foot}</div></div>'
    )


def _table(rows: list[str]) -> str:
    return f'<table style="border-collapse:collapse;margin:.4em 0">{"".join(rows)}</table>'


def _row(*cells: tuple[str, str], head: bool = False) -> str:
    tag = "th" if head else "td"
    inner = "".join(f'<{tag} style="{style}">{text}</{tag}>' for text, style in cells)
    return f"<tr>{inner}</tr>"


def _splits(data: "Dataset") -> str:
    rows = [_row(("split", _CELL), ("rows", _RIGHT), ("from", _CELL), ("to", _CELL), head=True)]
    for name in data.splits:
        entry = data.manifest.splits[name]
        first, last = (_day(entry.statistics.get("t", {}).get(end)) for end in ("min", "max"))
        rows.append(_row((escape(name), _CELL), (f"{entry.rows:,}", _RIGHT), (first, _CELL),
                         (last, _CELL)))  # fmt: skip
    return _table(rows)


def _day(us: object) -> str:
    from headrace.core.clock import iso

    return escape(iso(us)[:10]) if isinstance(us, int) else ""


def _columns(data: "Dataset") -> str:
    by_role: dict[str, list[str]] = {}
    for column in data.manifest.columns:
        if column.name in data.columns:
            by_role.setdefault(column.role, []).append(
                f'{escape(column.name)} <span style="opacity:.6">{escape(column.type)}</span>'
            )
    rows = []
    for role, names in by_role.items():
        remainder = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
        listed = ", ".join(names[:_MAX_NAMES]) + remainder
        rows.append(_row((escape(role), _CELL), (f"{len(names)}", _RIGHT), (listed, _CELL)))
    return _table(rows)
