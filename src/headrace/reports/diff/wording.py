"""Texts of a diff, for the page and for the terminal."""

from headrace.core.clock import duration_text, iso
from headrace.datasets.diff.model import ColumnDiff, MetadataChange, ReleaseDiff, RowCounts
from headrace.web import wording


def span(diff: ReleaseDiff) -> str:
    """Return the two versions, as in `1.0.0 → 1.1.0`."""
    return " → ".join(ref.partition("@")[2] for ref in (diff.before, diff.after))


def value(cell: object) -> str:
    """Return a cell as shortened text; floats keep all digits, since the last one may differ."""
    if isinstance(cell, float):
        return repr(cell)
    return wording.value(cell)


_MOMENTS = ("until_us", "after_us", "cutoff_us", "since_us")


def changed(change: MetadataChange) -> tuple[str, str, str]:
    """Return (name, before, after) of a change, with times and durations as text."""
    name = f"{change.group} {change.name}"
    if not name.endswith("_us"):
        return name, _side(change.before), _side(change.after)
    # These are points in time; others, such as an embargo, are durations.
    as_text = iso if name.endswith(_MOMENTS) else duration_text
    before, after = (
        _side(as_text(side) if isinstance(side, int) else side)
        for side in (change.before, change.after)
    )
    return name.removesuffix("_us"), before, after


def _side(cell: object) -> str:
    return "" if cell is None else value(cell)


def number(cell: object) -> str:
    """Return a statistic of a column as text, with enough digits to show a change."""
    return f"{cell:.8g}" if isinstance(cell, float) else wording.value(cell)


def headline(diff: ReleaseDiff) -> str:
    """Return the most important differences in one line."""
    rows = diff.rows
    if diff.equal:
        return "nothing differs"
    counts = [
        f"{count:,} {what}"
        for count, what in (
            (rows.added, "added"), (rows.removed, "removed"), (rows.changed, "changed"),
            (rows.moved, "in another split"),
        )
        if count
    ]  # fmt: skip
    parts = [f"rows: {', '.join(counts)}"] if counts else ["every row is the same"]
    parts += [
        wording.counted(len(of), what, many)
        for of, what, many in (
            (diff.schema, "change of schema", "changes of schema"),
            (diff.meaning, "change of meaning", "changes of meaning"),
            (diff.governance, "change of governance", "changes of governance"),
        )
        if of
    ]
    return "; ".join(parts)


def what_moved(column: ColumnDiff, rows: RowCounts) -> str:
    """Return the changes of a column, as in `1,024 cells changed (3.1%); 12% apart, PSI 0.31`."""
    parts = []
    both = rows.same + rows.changed + rows.moved
    if column.changed is None:
        parts.append("cells not compared")
    elif column.changed:
        share = wording.percent(min(1.0, column.changed / max(1, both)))
        parts.append(f"{wording.counted(column.changed, 'cell')} changed ({share})")
    if column.distribution is not None:
        apart = wording.percent(column.distribution.distance)
        parts.append(f"{apart} apart, PSI {column.distribution.psi:.3g}")
    return "; ".join(parts)
