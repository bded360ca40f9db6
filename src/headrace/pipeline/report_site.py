"""Which page answers which address: the routes of the report server, without the network."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from headrace.clock import from_us, now_us
from headrace.errors import DeclarationError, HeadraceError
from headrace.files import canonical_json
from headrace.gates.compare import Comparison
from headrace.gates.report import render
from headrace.gates.report.index import (
    Index,
    Line,
    Missing,
    render_index,
    render_problem,
    render_slot,
)
from headrace.gates.report.style import POLICY
from headrace.home import Home
from headrace.lake.inspect import batch_rows
from headrace.links import ACTIONS, action_url
from headrace.monitoring.report import render as render_monitor
from headrace.pipeline.declare import Pipeline
from headrace.pipeline.gate_facts import pipeline_of
from headrace.pipeline.gate_report import gate_report
from headrace.pipeline.monitor_report import monitor_report, open_incidents

LISTED = 50  # batches in the index that wait for nobody
REMEMBERED = 64  # comparisons: they cost the most, and never change
HEADERS = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",  # what is pending changes
}


@dataclass(frozen=True)
class Answer:
    """What goes back: a page, or where to go instead."""

    status: HTTPStatus
    body: bytes = b""
    type: str = "text/html; charset=utf-8"
    location: str = ""


class Remembered(OrderedDict[tuple[str, ...], Comparison]):
    """Comparisons by what they are of; the oldest leave."""

    def __setitem__(self, key: tuple[str, ...], found: Comparison) -> None:
        super().__setitem__(key, found)
        while len(self) > REMEMBERED:
            self.popitem(last=False)


@dataclass
class Site:
    """The reports of these pipelines under `home`. It reads, and writes nothing."""

    pipelines: Sequence[Pipeline]
    home: Home
    memory: Remembered = field(default_factory=Remembered)
    busy: Lock = field(default_factory=Lock)

    @property
    def tables(self) -> list[str]:
        return [table.name for pipeline in self.pipelines for table in pipeline.tables]

    def answer(self, target: str) -> Answer:
        """The answer to a GET of `target`, a path with its query as it came."""
        split = urlsplit(target)
        parts = [unquote(part) for part in split.path.split("/")[1:]]
        home = "../" * (len(parts) - 1) or "./"
        try:
            return self._route(parts, parse_qs(split.query))
        except DeclarationError as wrong:
            return _problem(HTTPStatus.NOT_FOUND, "Not found", wrong, home)
        except HeadraceError as wrong:
            return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "Cannot be shown", wrong, home)

    def _route(self, parts: list[str], query: dict[str, list[str]]) -> Answer:
        match parts:
            case [""] | ["index.html"]:
                return _page(render_index(self._index(query.get("table", [""])[0])))
            case ["health"]:
                return Answer(HTTPStatus.OK, canonical_json({"status": "ok"}), "application/json")
            case ["batch", table, batch_id]:
                return self._batch(table, batch_id)
            case ["table", table, slot]:
                return self._slot(table, slot)
            case ["monitor", name]:
                return self._monitor(name)
        raise DeclarationError("There is no such page.", fix="start from the list of all reports")

    def _rows(self, table: str) -> list[dict[str, Any]]:
        return batch_rows(self.home, pipeline_of(self.pipelines, table).table(table))

    def _index(self, only: str) -> Index:
        chosen = [only] if only else self.tables
        found = {table: [_line(row) for row in self._rows(table)] for table in chosen}
        lines = [line for rows in found.values() for line in rows]
        lines.sort(key=lambda line: (line.slot, line.arrived_at, line.table), reverse=True)
        others = [one for one in lines if one.state != "pending" and one.verdict != "PASS"]
        return Index(
            tables=tuple(self.tables),
            pending=tuple(one for one in lines if one.state == "pending"),
            recent=tuple(others[:LISTED]),
            older=len(others[LISTED:]),
            rendered_at=now_us(),
            only=only,
            missing=tuple(self._missing(found)),
            monitors=tuple((one.monitor.name, _open_of(one, self.home)) for one in self.pipelines),
        )

    def _missing(self, found: dict[str, list[Line]]) -> Iterator[Missing]:
        today = from_us(now_us()).date().isoformat()
        for name, lines in found.items():
            table = pipeline_of(self.pipelines, name).table(name)
            there = {line.slot for line in lines}
            slots = [slot for slot in table.expected_slots(today) if slot not in there]
            if slots:
                yield Missing(name, len(slots), slots[0], slots[-1])

    def _batch(self, table: str, which: str) -> Answer:
        pipeline = pipeline_of(self.pipelines, table)
        found = [r["batch"] for r in self._rows(table) if str(r["batch"]).startswith(which)]
        if len(found) != 1 or not which:
            raise _none(table, f"batch {which}")
        slots = [row["slot"] for row in self._rows(table) if row["batch"] == found[0]]
        link = partial(action_link, pipeline.name, table, found[0], slots[0])
        # One at a time: a report reads whole columns, and there is one reader or a few.
        with self.busy:
            report = gate_report(
                pipeline, self.home, table, found[0], link=link, memory=self.memory
            )
        return _page(render(report, "../../"))

    def _monitor(self, name: str) -> Answer:
        found = [one for one in self.pipelines if one.monitor.name == name]
        if not found:
            names = ", ".join(one.monitor.name for one in self.pipelines)
            raise DeclarationError(f"There is no monitor {name}.", fix=f"one of {names}")
        return _page(render_monitor(monitor_report(found[0], self.home), "../"))

    def _slot(self, table: str, slot: str) -> Answer:
        lines = [_line(row) for row in self._rows(table) if row["slot"] == slot]
        if not lines:
            raise _none(table, f"batch in slot {slot}")
        if len(lines) == 1:
            place = f"../../batch/{quote(table, safe='')}/{lines[0].batch_id}"
            return Answer(HTTPStatus.FOUND, location=place)
        return _page(render_slot(table, slot, lines))


def _open_of(pipeline: Pipeline, home: Home) -> int:
    """Incidents of its monitor that nobody has acknowledged yet."""
    return sum(one.acknowledged is None for one in open_incidents(pipeline, home))


def action_link(
    location: str,
    table: str,
    batch_id: str,
    slot: str,
    action: str,
    **fields: Any,  # noqa: ANN401 - handed on
) -> str:
    """Where the orchestrator does an action on a batch, all but the reason filled in."""
    if action not in ACTIONS:
        return ""
    return action_url(None, action, table, batch_id, location=location, slot=slot, **fields)


def _line(row: dict[str, Any]) -> Line:
    return Line(
        table=row["table"],
        slot=row["slot"],
        batch_id=row["batch"],
        verdict=row["verdict"],
        state=row["state"],
        delivered=row["delivered"],
        quarantined=row["quarantined"],
        summary=row["summary"],
        arrived_at=row["arrived_at"],
    )


def _none(table: str, what: str) -> DeclarationError:
    return DeclarationError(
        f"Table {table} has no {what}.", fix=f"headrace gate ls --table {table} --all"
    )


def _page(text: str) -> Answer:
    return Answer(HTTPStatus.OK, text.encode())


def _problem(status: HTTPStatus, title: str, wrong: HeadraceError, home: str) -> Answer:
    return Answer(status, render_problem(title, wrong.what, wrong.fix, home).encode())
