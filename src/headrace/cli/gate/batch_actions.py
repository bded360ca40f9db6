"""`headrace gate approve` and the other actions on batches.

Commands for one batch are built from the declarations in `headrace.core.batch_actions`.
"""

import csv
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from headrace.cli.gate.gates import command_of
from headrace.cli.options import AsJson, Batch, Principal, Reason, TableName
from headrace.cli.output import emit_json, explained, grid, out, verdict
from headrace.core.batch_actions import BATCH_ACTIONS, BatchAction

if TYPE_CHECKING:
    from headrace.core.home import Home
    from headrace.lake.table import Table

Checks = Annotated[
    list[str] | None,
    typer.Option("--check", help="Only rows that fail this check; may be repeated."),
]
Lines = Annotated[
    list[int] | None, typer.Option("--line", help="Only the row on this line; may be repeated.")
]
Where = Annotated[
    list[str] | None,
    typer.Option(help="Only rows with this value: column=value; may be repeated."),
]
Until = Annotated[
    str | None,
    typer.Option(help="Last day (UTC) or moment of the decision's validity; default: no end."),
]
DataRight = Annotated[
    bool,
    typer.Option(
        "--data-right",
        help="The data are right: accept the findings of drift detection in later batches, too.",
    ),
]
RightUntil = Annotated[
    str,
    typer.Option(
        help="With --data-right: last day (UTC), or duration, for later batches; at most 2 years."
    ),
]
RIGHT_FOR = "90d"
_LISTED = 50


class RowFormat(StrEnum):
    """Output format of rows."""

    table = "table"
    csv = "csv"
    json = "json"


# {name in an action's declaration: (parameter, option)} of the options that select rows.
_ROWS: dict[str, tuple[str, Any]] = {
    "checks": ("check", Checks),
    "lines": ("line", Lines),
    "where": ("where", Where),
}


def _command(action: BatchAction) -> Callable[..., None]:
    """Return the command of an action on a batch, with the options that its declaration names."""

    def command(
        table: str,
        batch: str,
        *,
        reason: str,
        principal: str | None,
        as_json: bool,
        until: str | None = None,
        data_right: bool = False,
        right_until: str = RIGHT_FOR,
        **options: Any,  # noqa: ANN401 - lists of texts or numbers
    ) -> None:
        rows = {name: options.get(_ROWS[name][0]) for name in action.rows}
        if "where" in rows:
            rows["where"] = _pairs(rows["where"] or [])
        if data_right:
            rows["right_until"] = right_until
        outcome = perform(action.name, table, batch, principal, reason, expires=until, **rows)
        _emit(outcome, as_json)

    def option(name: str, form: object, default: object = None) -> Parameter:
        return Parameter(name, Parameter.KEYWORD_ONLY, annotation=form, default=default)

    parameters = [
        Parameter("table", Parameter.POSITIONAL_OR_KEYWORD, annotation=TableName),
        Parameter("batch", Parameter.POSITIONAL_OR_KEYWORD, annotation=Batch),
        option("reason", Reason, Parameter.empty),
        *(option(*_ROWS[name]) for name in action.rows),
        *([option("until", Until)] if action.expires == "optional" else []),
        *([option("data_right", DataRight, default=False)] if action.accepts else []),
        *([option("right_until", RightUntil, RIGHT_FOR)] if action.accepts else []),
        option("principal", Principal),
        option("as_json", AsJson, default=False),
    ]
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__name__, command.__doc__ = action.command_name, action.help
    return explained(command)


approve, quarantine, reject, rerun, ack = (
    _command(BATCH_ACTIONS[name]) for name in ("release", "quarantine", "reject", "rerun", "ack")
)


@explained
def rows(
    table: TableName,
    batch: Batch,
    *,
    check: Checks = None,
    form: Annotated[
        RowFormat, typer.Option("--format", help="Output format: table, csv or json.")
    ] = RowFormat.table,
    as_json: Annotated[bool, typer.Option("--json", help="Same as --format json.")] = False,
) -> None:
    """List the failing rows of a batch: line, key, values, where each row is now, and why.

    Works for blocked batches as well. A table shows the first 50 rows; csv and json contain all.

    For example:

      headrace gate rows weather 2013-07-22 --format csv > rows.csv
    """
    from headrace.lake.overrides.batch_case import open_case
    from headrace.lake.overrides.failing_rows import failing_rows, flat

    case = open_case(
        home_folder(), declared_table(table), batch, ("pending", "published", "judged")
    )
    failing = failing_rows(case, check or ())
    if as_json or form is RowFormat.json:
        emit_json(failing)
    elif form is RowFormat.csv:
        _csv(flat(failing))
    else:
        _grid_of_rows(case.name, failing)


@explained
def log(
    *,
    table: Annotated[str | None, typer.Option(help="Only this table.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the audit trail: every action on a batch, done or refused, with user, reason, expiry."""
    from headrace.lake.ledger.ledger import Ledger
    from headrace.lake.overrides.audit_trail import actions

    with Ledger(home_folder()) as ledger:
        trail = [action.document() for action in actions(ledger, table)]
    if as_json:
        emit_json(trail)
        return
    columns = [
        "no#",
        "at",
        "who",
        "action",
        "table",
        "partition",
        "scope",
        "reason",
        "until",
        "outcome",
    ]
    grid("audit trail", columns, [_logged(action) for action in trail])
    if not trail:
        out.print("no action was taken or refused yet")


def _logged(action: dict[str, Any]) -> list[object]:
    """Return the table cells of one entry of the audit trail."""
    from headrace.lake.overrides.audit_trail import scope_words

    outcome = (
        Text("done", "green")
        if action["allowed"]
        else Text(f"refused: {action['note'].removeprefix('refused: ')}", "red")
    )
    return [
        action["id"], _short(action["at"]), action["principal"], command_of(action["action"]),
        action["table"], action["slot"], scope_words(action["scope"]), action["reason"],
        _short(action["expires_at"]), outcome,
    ]  # fmt: skip


def _short(moment: str | None) -> str:
    return (moment or "")[:16].replace("T", " ")


# Helpers


def home_folder() -> "Home":
    """Return the home of the project."""
    from headrace.core.home import Home

    return Home.find()


def declared_table(name: str) -> "Table":
    """Return a table of the project by its name."""
    from headrace.cli.gate.gates import tables

    return tables(name)[0]


def acting_name(name: str | None) -> str:
    """Return the name of the person who acts."""
    from headrace.core.permissions import acting

    return acting(name)


def perform(
    action: str,
    table: str,
    batch: str,
    principal: str | None,
    reason: str,
    **parameters: Any,  # noqa: ANN401
) -> dict[str, Any]:
    """Take an action, and show it in Dagster if it changes a batch."""
    from headrace.cli.shared import show_in_dagster
    from headrace.operations import batch_actions
    from headrace.pipeline import project_pipelines

    home = home_folder()
    outcome = batch_actions.perform(
        action,
        home,
        declared_table(table),
        batch,
        principal=acting_name(principal),
        reason=reason,
        **parameters,
    )
    if not BATCH_ACTIONS[action].of_table:
        show_in_dagster(home, project_pipelines())(table, outcome)
    return outcome


def _pairs(words: Sequence[str]) -> dict[str, str]:
    from headrace.core.errors import DeclarationError

    pairs = dict(word.partition("=")[::2] for word in words)
    if any("=" not in word for word in words):
        raise DeclarationError("--where has no value", fix="write it as --where flight=1141")
    return pairs


def _emit(outcome: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit_json(outcome)
        return
    action = outcome["action"]
    first = (
        f"{command_of(action['action'])} by {action['principal']}"
        if outcome["changed"]
        else "already done"
    )
    out.print(
        Text.assemble(
            (f"{outcome['table']} {outcome['slot']}", "bold"),
            f" batch {str(outcome['batch'])[:12]}: {first}; now ",
            verdict(str(outcome["verdict"])),
            f", {outcome['state']}: {outcome['passing']} passing and {outcome['quarantined']}"
            " quarantined rows",
        ),
        soft_wrap=True,
    )
    for what in outcome.get("accepted", ()):
        out.print(f"accepted in later batches: {what}", soft_wrap=True, highlight=False)
    if blocking := outcome.get("not_accepted"):
        out.print(
            f"not accepted, and blocking later batches as before: {', '.join(blocking)}; change the"
            " suite if they are wrong, or mute them: headrace gate mute",
            soft_wrap=True,
            highlight=False,
        )


def _csv(rows: Sequence[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(sys.stdout, names or ["line"], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _grid_of_rows(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print the key of each row, and its values in the columns that its failed checks read."""
    cells = [
        [
            row["line"],
            row["fate"],
            _as_text(row["key"]),
            _versions(row) or row.get("raw", ""),
            "; ".join(": ".join(filter(None, (w["check"], w["why"]))) for w in row["reasons"]),
        ]
        for row in rows[:_LISTED]
    ]
    grid(title, ["line#", "now", "key", "values", "why"], cells)
    if len(rows) > _LISTED:
        out.print(f"{len(rows) - _LISTED} more; --format csv or json prints all of them")
    elif not rows:
        out.print("no row fails a check")


def _concerned(row: dict[str, Any]) -> dict[str, Any]:
    columns = {name for why in row["reasons"] for name in why["columns"]}
    return {name: value for name, value in row["values"].items() if name in columns}


def _versions(row: dict[str, Any]) -> str:
    """Return a row's values in the columns of its reasons; also of a conflicting earlier row."""
    now = _as_text(_concerned(row))
    return f"{now}; earlier {_as_text(row['earlier']['values'])}" if "earlier" in row else now


def _as_text(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
