"""Index of the reports: batches that wait for a decision, then others that did not pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from headrace.reports.batch.page import document, page_path
from headrace.reports.batch.summary import chip
from headrace.web import wording
from headrace.web.html import Html, element, join


@dataclass(frozen=True)
class Line:
    """One batch in a list; `arrived_at` is in microseconds UTC."""

    table: str
    slot: str
    batch_id: str
    verdict: str
    state: str
    delivered: int
    quarantined: int
    summary: str
    arrived_at: int


@dataclass(frozen=True)
class Missing:
    """Missing deliveries of a table: number of overdue partitions, the first and the last."""

    table: str
    slots: int
    first: str
    last: str


@dataclass(frozen=True)
class Index:
    """Content of the index page; `only` is the table filter, "" for all tables.

    Attributes:
        pending: batches that wait for a decision, the newest partition first.
        recent: the latest other batches that did not pass; `older` is the number not shown.
        monitors: (monitor, number of open incidents that are not acknowledged).
    """

    tables: tuple[str, ...]
    pending: tuple[Line, ...]
    recent: tuple[Line, ...]
    older: int
    rendered_at: int
    only: str = ""
    missing: tuple[Missing, ...] = ()
    monitors: tuple[tuple[str, int], ...] = ()


def render_index(index: Index) -> str:
    waiting = len(index.pending)
    title = (
        f"{wording.counted(waiting, 'batch', 'batches')} waiting"
        if waiting
        else "No batch waits for a decision"
    )
    older_note = f"Not listed: {index.older:,} older (see headrace gate ls)" if index.older else ""
    return document(
        title,
        element("header", element("h1", title), _filter(index),
                class_=f"top {'BLOCK' if waiting else 'PASS'}"),
        element(
            "main",
            _section("Waiting for a decision", "The newest first.", index.pending) or _calm(),
            _section("Other batches that did not pass", "The latest first.",
                     index.recent),
            element("p", older_note, class_="soft") if older_note else None,
            _missing(index.missing),
            _monitors(index.monitors),
        ),
        element("footer", element("p", f"Made {wording.moment(index.rendered_at)}.")),
    )  # fmt: skip


def _monitors(monitors: Sequence[tuple[str, int]]) -> Html | None:
    """List the monitors with links to their pages."""
    if not monitors:
        return None
    entries = [
        element("li", element("a", f"monitor {name}", href=f"./monitor/{quote(name, safe='')}"),
                f": {wording.counted(waiting, 'open incident')}" if waiting else ": all is well")
        for name, waiting in monitors
    ]  # fmt: skip
    return element("section", element("h2", "Monitors"), element("ul", entries, class_="monitors"))


def _missing(tables: Sequence[Missing]) -> Html | None:
    """List the missing partitions, which have no page."""
    if not tables:
        return None
    entries = [
        element("li", element("strong", table.table), f": {_span(table)}") for table in tables
    ]
    return element(
        "section",
        element("h2", "Expected, but not delivered"),
        element("ul", entries),
        element("p", "headrace status lists all of them.", class_="soft"),
    )


def _span(gap: Missing) -> str:
    if gap.slots == 1:
        return gap.first
    return f"{wording.counted(gap.slots, 'partition')}, {gap.first} to {gap.last}"


def _calm() -> Html:
    sentence = "None: every batch is published or closed."
    return element("section", element("h2", "Waiting for a decision"), element("p", sentence))


def _filter(index: Index) -> Html:
    """Show a link for each table; the selected table is not a link."""
    links = [_choice("all tables", ".", selected=not index.only)]
    links += [
        _choice(name, f"./?{urlencode({'table': name})}", selected=name == index.only)
        for name in index.tables
    ]
    return element("p", links, class_="where")


def _choice(name: str, address: str, *, selected: bool) -> Html:
    if selected:
        return element("strong", name, class_="tag", aria_current="page")
    return element("a", name, href=address if address != "." else "./", class_="tag")


def _section(title: str, hint: str, lines: Sequence[Line]) -> Html | None:
    if not lines:
        return None
    return element(
        "section",
        element("h2", title),
        element("p", hint, class_="soft"),
        [_entry(line, "") for line in lines],
    )


def _entry(line: Line, home: str) -> Html:
    rows = f"{wording.counted(line.delivered, 'row')}, {wording.state(line.state)}"
    if line.quarantined:
        rows += f", {line.quarantined:,} fail a check"
    return element(
        "article",
        element("h3", element("a", f"{line.table} {line.slot}",
                              href=page_path(line.table, line.batch_id, home or "./")), " ",
                chip(line.verdict)),
        element("p", _why(line)),
        element("p", f"{rows}; arrived {wording.moment(line.arrived_at)}", class_="soft small"),
        class_="check",
    )  # fmt: skip


def _why(line: Line) -> str:
    """Return the summary without the verdict and the fix, shortened."""
    reason = line.summary.removeprefix(f"{line.verdict}: ").partition(" (fix: ")[0]
    return wording.shortened(reason, 240)


def render_slot(table: str, slot: str, lines: Sequence[Line]) -> str:
    """Render the list of the batches of a partition that has several."""
    entries = [_entry(line, "../../") for line in lines]
    return document(
        f"{table} {slot}",
        element("header", element("h1", f"{table} {slot}: {len(lines)} batches")),
        element("main", element("section", entries)),
        element("footer", element("p", element("a", "All reports", href="../../"))),
    )


def render_problem(title: str, message: str, fix: str, home: str) -> str:
    """Render an error page."""
    return document(
        title,
        element("header", element("h1", title), class_="top NONE"),
        element("main", element("p", message), element("pre", fix) if fix else None),
        element("footer", element("p", join([element("a", "All reports", href=home)]))),
    )
