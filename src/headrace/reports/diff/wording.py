"""A diff in words: for the page and for the terminal."""

from headrace.core.clock import duration_text, iso
from headrace.datasets.diff.model import Change, Column, Diff, Rows
from headrace.web import wording


def span(found: Diff) -> str:
    """`1.0.0 → 1.1.0`."""
    return " → ".join(ref.partition("@")[2] for ref in (found.before, found.after))


def value(cell: object) -> str:
    """A cell, shortened; a number with all its digits, since the last one may be what differs."""
    if isinstance(cell, float):
        return repr(cell)
    return wording.value(cell)


_MOMENTS = ("until_us", "after_us", "cutoff_us", "since_us")


def changed(one: Change) -> tuple[str, str, str]:
    """(what, before, after) of a change, with moments and spans as people write them."""
    name = f"{one.group} {one.name}"
    if not name.endswith("_us"):
        return name, _side(one.before), _side(one.after)
    # Unlike the others, such as an embargo, these are points in time.
    tell = iso if name.endswith(_MOMENTS) else duration_text
    before, after = (
        _side(tell(side) if isinstance(side, int) else side) for side in (one.before, one.after)
    )
    return name.removesuffix("_us"), before, after


def _side(cell: object) -> str:
    return "" if cell is None else value(cell)


def number(found: object) -> str:
    """A number of a whole column: enough digits to see it move."""
    return f"{found:.8g}" if isinstance(found, float) else wording.value(found)


def headline(found: Diff) -> str:
    """What matters most, in one line."""
    rows = found.rows
    if found.equal:
        return "nothing differs"
    said = [
        f"{count:,} {what}"
        for count, what in (
            (rows.added, "added"), (rows.removed, "removed"), (rows.changed, "changed"),
            (rows.moved, "in another split"),
        )
        if count
    ]  # fmt: skip
    parts = [f"rows: {', '.join(said)}"] if said else ["every row is the same"]
    parts += [
        wording.counted(len(of), what, many)
        for of, what, many in (
            (found.schema, "change of schema", "changes of schema"),
            (found.meaning, "change of meaning", "changes of meaning"),
            (found.governance, "change of governance", "changes of governance"),
        )
        if of
    ]
    return "; ".join(parts)


def what_moved(column: Column, rows: Rows) -> str:
    """`1,024 cells changed (3.1%); 12% apart, PSI 0.31`."""
    said = []
    both = rows.same + rows.changed + rows.moved
    if column.changed is None:
        said.append("cells not compared")
    elif column.changed:
        share = wording.percent(min(1.0, column.changed / max(1, both)))
        said.append(f"{wording.counted(column.changed, 'cell')} changed ({share})")
    if column.distribution is not None:
        apart = wording.percent(column.distribution.distance)
        said.append(f"{apart} apart, PSI {column.distribution.psi:.3g}")
    return "; ".join(said)
