"""Routes of the report server, independent of the network: pages, and actions of their forms."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from headrace.core.clock import from_us, now_us
from headrace.core.errors import DeclarationError, HeadraceError, RefusedError
from headrace.core.files import canonical_json
from headrace.core.home import Home
from headrace.gates.compare import Comparison
from headrace.lake.ledger.batch_listing import batch_rows
from headrace.pipeline.definition import Pipeline
from headrace.report_server.actions import (
    READ_ONLY,
    Acting,
    Caller,
    act_on_batch,
    act_on_monitor,
    form_objection,
    objection,
)
from headrace.reports.batch import render
from headrace.reports.batch.action_form import Form
from headrace.reports.batch.facts import gate_report
from headrace.reports.batch.index import (
    Index,
    Line,
    Missing,
    render_index,
    render_problem,
    render_slot,
)
from headrace.reports.batch.shared_facts import pipeline_of
from headrace.reports.monitor import render as render_monitor
from headrace.reports.monitor.facts import monitor_report, open_incidents
from headrace.web.dagster_links import ACTIONS, action_url
from headrace.web.style import ACTING, POLICY

LISTED = 50  # maximum number of batches in the index that need no decision
REMEMBERED = 64  # number of cached comparisons, which are expensive and never change
_FORMS = {"batch": 3, "monitor": 2}  # pages with a form -> number of parts of their path
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # `no-referrer` would hide the origin of a form
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",  # the list of pending batches changes
}


@dataclass(frozen=True)
class PageAnswer:
    """Answer to a request: a page, or a redirect."""

    status: HTTPStatus
    body: bytes = b""
    type: str = "text/html; charset=utf-8"
    location: str = ""
    acting: bool = False

    @property
    def policy(self) -> str:
        """Content security policy; it allows forms only on a page that has one."""
        return f"{ACTING if self.acting else POLICY}; frame-ancestors 'none'"


class Remembered(OrderedDict[tuple[str, ...], Comparison]):
    """Cache of comparisons; the oldest entries are dropped."""

    def __setitem__(self, key: tuple[str, ...], comparison: Comparison) -> None:
        super().__setitem__(key, comparison)
        while len(self) > REMEMBERED:
            self.popitem(last=False)


@dataclass
class Site:
    """Pages of these pipelines under `home`; without `acting` the site is read-only."""

    pipelines: Sequence[Pipeline]
    home: Home
    acting: Acting | None = None
    memory: Remembered = field(default_factory=Remembered)
    busy: Lock = field(default_factory=Lock)

    @property
    def tables(self) -> list[str]:
        return [table.name for pipeline in self.pipelines for table in pipeline.tables]

    def answer(self, target: str, caller: Caller | None = None) -> PageAnswer:
        """Return the answer to a GET of `target`, the raw path with its query.

        A page has a form if the site accepts actions and the caller may act.
        """
        split = urlsplit(target)
        parts = _parts(split.path)
        try:
            form = None
            if self.acting and caller and not objection(caller):
                form = self.acting.form()
            return self._route(parts, parse_qs(split.query), form)
        except HeadraceError as wrong:
            return _failed(wrong, parts)

    def act(self, target: str, body: Mapping[str, str], caller: Caller) -> PageAnswer:
        """Take the action of a POST and redirect to its page, or answer with the refusal."""
        parts = _parts(urlsplit(target).path)
        acting = self.acting
        if len(parts) != _FORMS.get(parts[0]):
            no_form = DeclarationError(
                "This page has no form.", fix="start from the list of reports"
            )
            return _problem(HTTPStatus.METHOD_NOT_ALLOWED, "Read-only page", no_form, _up(parts))
        if acting is None:
            why = f"{READ_ONLY}: other machines can reach this server"
        else:
            why = form_objection(caller, acting.token, body)
        if acting is None or why:
            refused = RefusedError(why, fix="use headrace gate on the server's machine")
            return _problem(HTTPStatus.FORBIDDEN, "Nothing was done", refused, _up(parts))
        try:
            self._act(acting, parts, body)
        except HeadraceError as wrong:
            form = acting.form(wrong.what, wrong.fix, body.get("reason", ""))
            status = HTTPStatus.UNPROCESSABLE_ENTITY
            if isinstance(wrong, RefusedError):
                status = HTTPStatus.FORBIDDEN
            try:
                return replace(self._route(parts, {}, form), status=status)
            except HeadraceError:
                return _failed(wrong, parts)
        # Without #top, browsers would stay at the form; the new state is at the top of the page.
        return PageAnswer(HTTPStatus.SEE_OTHER, location=f"./{quote(parts[-1], safe='')}#top")

    def _act(self, acting: Acting, parts: list[str], body: Mapping[str, str]) -> None:
        match parts:
            case ["batch", table, batch_id]:
                declared = pipeline_of(self.pipelines, table).table(table)
                act_on_batch(acting, self.home, declared, self._batch_id(table, batch_id), body)
            case ["monitor", name]:
                act_on_monitor(self.home, self._watched(name), body)

    def _route(
        self, parts: list[str], query: dict[str, list[str]], form: Form | None
    ) -> PageAnswer:
        match parts:
            case [""] | ["index.html"]:
                return _page(render_index(self._index(query.get("table", [""])[0])))
            case ["health"]:
                return PageAnswer(
                    HTTPStatus.OK, canonical_json({"status": "ok"}), "application/json"
                )
            case ["batch", table, batch_id]:
                return self._batch(table, batch_id, form)
            case ["table", table, slot]:
                return self._slot(table, slot)
            case ["monitor", name]:
                return self._monitor(name, form)
        raise DeclarationError("There is no such page.", fix="start from the list of all reports")

    def _rows(self, table: str) -> list[dict[str, Any]]:
        return batch_rows(self.home, pipeline_of(self.pipelines, table).table(table))

    def _index(self, only: str) -> Index:
        tables = [only] if only else self.tables
        lines_by_table = {table: [_line(row) for row in self._rows(table)] for table in tables}
        lines = [line for rows in lines_by_table.values() for line in rows]
        lines.sort(key=lambda line: (line.slot, line.arrived_at, line.table), reverse=True)
        recent = [line for line in lines if line.state != "pending" and line.verdict != "PASS"]
        return Index(
            tables=tuple(self.tables),
            pending=tuple(line for line in lines if line.state == "pending"),
            recent=tuple(recent[:LISTED]),
            older=len(recent[LISTED:]),
            rendered_at=now_us(),
            only=only,
            missing=tuple(self._missing(lines_by_table)),
            monitors=tuple(
                (part.monitor.name, _open_of(part, self.home)) for part in self._monitored
            ),
        )

    def _missing(self, lines_by_table: dict[str, list[Line]]) -> Iterator[Missing]:
        today = from_us(now_us()).date().isoformat()
        for name, lines in lines_by_table.items():
            table = pipeline_of(self.pipelines, name).table(name)
            delivered = {line.slot for line in lines}
            slots = [slot for slot in table.expected_slots(today) if slot not in delivered]
            if slots:
                yield Missing(name, len(slots), slots[0], slots[-1])

    def _batch_id(self, table: str, prefix: str) -> str:
        """Return the full id of the batch whose id starts with `prefix`."""
        batch_ids = [r["batch"] for r in self._rows(table) if str(r["batch"]).startswith(prefix)]
        if len(batch_ids) != 1 or not prefix:
            raise _none(table, f"batch {prefix}")
        return str(batch_ids[0])

    def _batch(self, table: str, prefix: str, form: Form | None) -> PageAnswer:
        pipeline, batch_id = pipeline_of(self.pipelines, table), self._batch_id(table, prefix)
        slots = [row["slot"] for row in self._rows(table) if row["batch"] == batch_id]
        link = partial(action_link, pipeline.name, table, batch_id, slots[0])
        # Build one report at a time: each reads whole columns, and there are few readers.
        with self.busy:
            report = gate_report(
                pipeline, self.home, table, batch_id, link=link, memory=self.memory
            )
        return _page(render(report, "../../", form), acting=form is not None)

    def _watched(self, name: str) -> Pipeline:
        """Return the pipeline of a monitor."""
        monitored = {part.monitor.name: part for part in reversed(self._monitored)}
        if name not in monitored:
            names = ", ".join(part.monitor.name for part in self._monitored)
            raise DeclarationError(
                f"There is no monitor named {name}.",
                fix=f"one of {names}" if names else "declare one: Pipeline(..., monitors=(...,))",
            )
        return monitored[name]

    @property
    def _monitored(self) -> list[Pipeline]:
        """Pipelines with one monitor each."""
        return [part for pipeline in self.pipelines for part in pipeline.each_monitor()]

    def _monitor(self, name: str, form: Form | None) -> PageAnswer:
        report = monitor_report(self._watched(name), self.home)
        return _page(render_monitor(report, "../", form), acting=form is not None)

    def _slot(self, table: str, slot: str) -> PageAnswer:
        lines = [_line(row) for row in self._rows(table) if row["slot"] == slot]
        if not lines:
            raise _none(table, f"batch of partition {slot}")
        if len(lines) == 1:
            place = f"../../batch/{quote(table, safe='')}/{lines[0].batch_id}"
            return PageAnswer(HTTPStatus.FOUND, location=place)
        return _page(render_slot(table, slot, lines))


def _open_of(pipeline: Pipeline, home: Home) -> int:
    """Count the open incidents of the pipeline's monitor that are not acknowledged."""
    return sum(incident.acknowledged is None for incident in open_incidents(pipeline, home))


def action_link(
    location: str,
    table: str,
    batch_id: str,
    slot: str,
    action: str,
    **fields: Any,  # noqa: ANN401 - passed on
) -> str:
    """Return a link to the orchestrator's form for an action, prefilled except for the reason."""
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


def _parts(path: str) -> list[str]:
    return [unquote(part) for part in path.split("/")[1:]]


def _up(parts: list[str]) -> str:
    """Return the relative link to the index from a page with these path parts."""
    return "../" * (len(parts) - 1) or "./"


def _failed(wrong: HeadraceError, parts: list[str]) -> PageAnswer:
    if isinstance(wrong, DeclarationError):
        return _problem(HTTPStatus.NOT_FOUND, "Not found", wrong, _up(parts))
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "Cannot be shown", wrong, _up(parts))


def _page(text: str, *, acting: bool = False) -> PageAnswer:
    return PageAnswer(HTTPStatus.OK, text.encode(), acting=acting)


def _problem(status: HTTPStatus, title: str, wrong: HeadraceError, home: str) -> PageAnswer:
    return PageAnswer(status, render_problem(title, wrong.what, wrong.fix, home).encode())
