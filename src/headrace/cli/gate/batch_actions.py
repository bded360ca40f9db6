"""`headrace gate release` and the other actions on batches; each is
`headrace.operations.batch_actions`.
"""

import csv
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from headrace.cli.output import emit_json, explained, grid, out, verdict
from headrace.core.clock import end_of

if TYPE_CHECKING:
    from headrace.lake.table import Table

Name = Annotated[str, typer.Argument(help="A table, as in `headrace gate ls`.")]
Which = Annotated[
    str, typer.Argument(help="A day (2013-02-12), `snapshot`, or the start of a batch id.")
]
Reason = Annotated[str, typer.Option("--reason", "-m", help="Why; it is kept for good.")]
Who = Annotated[
    str | None,
    typer.Option("--as", help="Who acts; HEADRACE_PRINCIPAL, or the user of this machine."),
]
Checks = Annotated[
    list[str] | None, typer.Option("--check", help="Rows that fail this check; repeat it.")
]
Lines = Annotated[list[int] | None, typer.Option("--line", help="The row on this line; repeat it.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
_SHOWN = 50


class Form(StrEnum):
    """How rows are printed."""

    table = "table"
    csv = "csv"
    json = "json"


@explained
def release(
    table: Name,
    batch: Which,
    *,
    reason: Reason,
    check: Checks = None,
    line: Lines = None,
    until: Annotated[
        str | None, typer.Option(help="The last day it holds (UTC), or a moment; then it ends.")
    ] = None,
    who: Who = None,
    as_json: Json = False,
) -> None:
    r"""Publish a blocked batch, or rows that are in quarantine.

    Of a blocked batch, the rows that fail no row check are published; the others go to quarantine.
    With --check, rows that fail just these checks are published, too, and every check that blocks
    has to be named. Of a published batch, rows in quarantine are published: all, or those of a
    --check, or on a --line. Rows that break the contract stay. Everything is usable from now on,
    not before. A release holds for this batch under the rules of now.

    [bold]Examples[/bold]

      headrace gate release schedule 2013-02-12 --reason "storm, counts are right"
      headrace gate release weather 2013-07-22 --line 14 --reason "checked with the station"
    """
    scope = _scope(checks=check, lines=line)
    more = {"scope": scope, "expires": None if until is None else end_of(until)}
    _emit(_do("release", table, batch, who, reason, **more), as_json)


@explained
def quarantine(
    table: Name,
    batch: Which,
    *,
    reason: Reason,
    check: Checks = None,
    line: Lines = None,
    where: Annotated[
        list[str] | None, typer.Option(help="Rows with this value, as column=value; repeat it.")
    ] = None,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Take published rows out of the table into quarantine, whatever the rules are later.

    Rows are named by --line, by a --check that they fail (also one that only warns), or --where
    their columns have these values. For a whole batch: headrace gate recall.
    """
    scope = _scope(checks=check, lines=line, where=_pairs(where or []))
    _emit(_do("quarantine", table, batch, who, reason, scope=scope), as_json)


@explained
def reject(
    table: Name,
    batch: Which,
    *,
    reason: Reason,
    check: Checks = None,
    line: Lines = None,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Set a pending batch aside for good, or rows that are in quarantine (all, or as named)."""
    scope = _scope(checks=check, lines=line)
    _emit(_do("reject", table, batch, who, reason, scope=scope), as_json)


@explained
def rerun(
    table: Name, batch: Which, *, reason: Reason, who: Who = None, as_json: Json = False
) -> None:
    """Judge a batch again from its delivered bytes, by the checks and mutes of now."""
    _emit(_do("rerun", table, batch, who, reason), as_json)


@explained
def ack(
    table: Name, batch: Which, *, reason: Reason, who: Who = None, as_json: Json = False
) -> None:
    """Say that somebody is on it: its alerts send no more messages."""
    _emit(_do("ack", table, batch, who, reason), as_json)


@explained
def mute(
    table: Name,
    check: Annotated[list[str], typer.Argument(help="Ids of checks, as in `headrace gate show`.")],
    *,
    until: Annotated[str, typer.Option(help="The last day it holds (UTC), or a moment.")],
    reason: Reason,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Let checks run and tell, but not decide, for batches judged until a day.

    Batches judged before stay as they are; `headrace gate rerun` judges one again. A check that
    crashes is an error all the same.
    """
    from headrace.operations import batch_actions

    found = batch_actions.mute(
        _home(), _table(table), check, principal=_who(who), reason=reason, expires=end_of(until)
    )
    _emit_mutes(found, as_json)


@explained
def unmute(
    table: Name,
    check: Annotated[list[str], typer.Argument(help="Ids of muted checks.")],
    *,
    reason: Reason,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Let muted checks decide again, for batches judged from now on."""
    from headrace.operations import batch_actions

    found = batch_actions.unmute(_home(), _table(table), check, principal=_who(who), reason=reason)
    _emit_mutes(found, as_json)


@explained
def rows(
    table: Name,
    batch: Which,
    *,
    check: Checks = None,
    form: Annotated[Form, typer.Option("--format", help="table, csv or json.")] = Form.table,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Every failing row of a batch: line, key, values, where it is now, and why.

    Also of a blocked batch, of which nothing is staged. A table shows the first 50; csv and json
    have all of them.
    """
    from headrace.lake.overrides.batch_case import open_case
    from headrace.lake.overrides.failing_rows import failing_rows, flat

    case = open_case(_home(), _table(table), batch, ("pending", "published", "judged"))
    found = failing_rows(case, check or ())
    if as_json or form is Form.json:
        emit_json(found)
    elif form is Form.csv:
        _csv(flat(found))
    else:
        _grid_of_rows(case.name, found)


@explained
def log(
    *,
    table: Annotated[str | None, typer.Option(help="Only this table.")] = None,
    as_json: Json = False,
) -> None:
    """The audit trail: who did what to which batch, why, until when; and what was refused."""
    from headrace.lake.ledger.ledger import Ledger
    from headrace.lake.overrides.audit_trail import actions

    with Ledger(_home()) as ledger:
        found = [action.document() for action in actions(ledger, table)]
    if as_json:
        emit_json(found)
        return
    columns = ["no#", "at", "who", "action", "table", "slot", "what of", "why", "until", "outcome"]
    grid("audit trail", columns, [_logged(one) for one in found])
    if not found:
        out.print("nothing was done or refused yet")


def _logged(one: dict[str, Any]) -> list[object]:
    """One line of the trail, as cells."""
    from headrace.lake.overrides.audit_trail import scope_words

    outcome = (
        Text("done", "green")
        if one["allowed"]
        else Text(f"refused: {one['note'].removeprefix('refused: ')}", "red")
    )
    return [
        one["id"], _short(one["at"]), one["principal"], one["action"], one["table"], one["slot"],
        scope_words(one["scope"]), one["reason"], _short(one["expires_at"]), outcome,
    ]  # fmt: skip


def _short(moment: str | None) -> str:
    return (moment or "")[:16].replace("T", " ")


# what they share


def _home() -> Any:  # noqa: ANN401 - a Home, imported when it is needed
    from headrace.core.home import Home

    return Home.find()


def _table(name: str) -> "Table":
    from headrace.cli.gate.gates import tables

    return tables(name)[0]


def _who(given: str | None) -> str:
    from headrace.core.permissions import acting

    return acting(given)


def _do(
    verb: str,
    table: str,
    batch: str,
    who: str | None,
    reason: str,
    **more: Any,  # noqa: ANN401
) -> dict[str, Any]:
    from headrace.cli.shared import show_in_dagster
    from headrace.operations import batch_actions
    from headrace.pipeline import project_pipelines

    action, home = getattr(batch_actions, verb), _home()
    found: dict[str, Any] = action(
        home, _table(table), batch, principal=_who(who), reason=reason, **more
    )
    show_in_dagster(home, project_pipelines())(table, found)
    return found


def _scope(**named: Any) -> dict[str, Any]:  # noqa: ANN401 - lists and pairs
    return {key: value for key, value in named.items() if value}


def _pairs(given: Sequence[str]) -> dict[str, str]:
    from headrace.core.errors import DeclarationError

    found = dict(one.partition("=")[::2] for one in given)
    if any("=" not in one for one in given):
        raise DeclarationError("--where has no value", fix="write it as --where flight=1141")
    return found


def _emit(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit_json(found)
        return
    done = found["action"]
    first = f"{done['action']} by {done['principal']}" if found["changed"] else "done before"
    out.print(
        Text.assemble(
            (f"{found['table']} {found['slot']}", "bold"),
            f" batch {str(found['batch'])[:12]}: {first}; now ",
            verdict(str(found["verdict"])),
            f", {found['state']}: {found['passing']} rows pass, {found['quarantined']} are in"
            " quarantine",
        ),
        soft_wrap=True,
    )


def _emit_mutes(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit_json(found)
        return
    told = [[check, why] for check, why in found["muted"].items()]
    grid(f"muted checks of {found['table']}", ["check", "why"], told)
    out.print("this holds for batches judged from now on; to judge one again: headrace gate rerun")


def _csv(rows: Sequence[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(sys.stdout, names or ["line"], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _grid_of_rows(title: str, found: Sequence[dict[str, Any]]) -> None:
    """Of each row the key, and the values that its reasons are about."""
    cells = [
        [
            row["line"],
            row["fate"],
            _named(row["key"]),
            _versions(row) or row.get("raw", ""),
            "; ".join(": ".join(filter(None, (w["check"], w["why"]))) for w in row["reasons"]),
        ]
        for row in found[:_SHOWN]
    ]
    grid(title, ["line#", "now", "key", "values", "why"], cells)
    if len(found) > _SHOWN:
        out.print(f"{len(found) - _SHOWN} more; --format csv or json has all of them")
    elif not found:
        out.print("no row fails anything")


def _about(row: dict[str, Any]) -> dict[str, Any]:
    columns = {name for why in row["reasons"] for name in why["columns"]}
    return {name: value for name, value in row["values"].items() if name in columns}


def _versions(row: dict[str, Any]) -> str:
    """The values that a row's reasons are about, and those of the earlier row in conflict."""
    now = _named(_about(row))
    return f"{now}; earlier {_named(row['earlier']['values'])}" if "earlier" in row else now


def _named(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def register(app: typer.Typer) -> None:
    """Add the commands to `headrace gate`."""
    for command in (rows, release, quarantine, reject, rerun, mute, unmute, ack, log):
        app.command(command.__name__)(command)
