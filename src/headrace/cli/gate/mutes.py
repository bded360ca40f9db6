"""`headrace gate mute`, `mutes` and `unmute`: checks and findings that do not count for a time."""

from typing import Annotated, Any

import typer

from headrace.cli.gate.batch_actions import acting_name, declared_table, home_folder, perform
from headrace.cli.gate.gates import tables
from headrace.cli.options import AsJson, Principal, Reason, TableName
from headrace.cli.output import emit_json, explained, grid, out

_NEXT = "applies to batches validated from now on; to validate one again: headrace gate rerun"


@explained
def mute(
    table: TableName,
    check: Annotated[
        list[str] | None, typer.Argument(help="Ids of checks, as in `headrace gate show`.")
    ] = None,
    *,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="Kind of finding, such as unusual or nulls; may be repeated."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="Only findings of this column; may be repeated."),
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", help="First day of the season in each year: MM-DD.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", help="Last day of the season in each year: MM-DD.")
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(help="Only batches of this day or these days: 2026-12-24..2026-12-26."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            help="Last day of the mute (UTC), a time, or a duration; default for a season or for"
            " days: a year."
        ),
    ] = None,
    reason: Reason,
    principal: Principal = None,
    as_json: AsJson = False,
) -> None:
    """Mute checks, or kinds of findings in a season: they report, but do not affect the verdict.

    Batches validated earlier keep their verdicts; `headrace gate rerun` validates a batch again. A
    muted check that crashes still gives the verdict ERROR. A mute of findings (--kind) covers what
    drift detection reports, never breaks of the contract, and lasts at most two years.

    For example:

      headrace gate mute weather visib_range --until 2013-03-01 --reason "new sensor"
      headrace gate mute schedule --kind truncation --from 12-20 --to 01-06 --reason "holidays"
      headrace gate mute weather --kind nulls --on 2013-02-08..2013-02-10 --reason "blizzard"
    """
    of_findings = {"--kind": kind, "--column": column, "--from": first, "--to": last, "--on": on}
    options = [name for name, value in of_findings.items() if value]
    if check:
        _only_checks(options, until)
        muted = perform("mute", table, "", principal, reason, expires=until, checks=check)
        _emit(muted, as_json)
        return
    _mute_findings(
        table, kind or [], column or [], (first, last, on), until,
        principal=principal, reason=reason, as_json=as_json,
    )  # fmt: skip


def _only_checks(options: list[str], until: str | None) -> None:
    from headrace.core.errors import DeclarationError

    if options:
        raise DeclarationError(
            f"{', '.join(options)} cannot be combined with ids of checks",
            fix="mute checks by id, or findings by --kind, in two commands",
        )
    if until is None:
        raise DeclarationError(
            "the mute has no end", fix="add --until with a day or a duration, such as --until 30d"
        )


def _mute_findings(
    table: str,
    kinds: list[str],
    columns: list[str],
    period: tuple[str | None, str | None, str | None],
    until: str | None,
    *,
    principal: str | None,
    reason: str,
    as_json: bool,
) -> None:
    from headrace.core.clock import end_of
    from headrace.gates.exemptions.periods import read_period
    from headrace.operations.exemptions import mute_findings

    action = mute_findings(
        home_folder(),
        declared_table(table),
        kinds,
        columns=columns,
        period=read_period(*period),
        expires=None if until is None else end_of(until),
        principal=acting_name(principal),
        reason=reason,
    )
    if as_json:
        emit_json(action.document())
        return
    until_day = (action.document()["expires_at"] or "")[:16].replace("T", " ")
    out.print(f"mute {action.id} of {table}: {action.what}, until {until_day}", soft_wrap=True)
    out.print(_NEXT)


@explained
def unmute(
    table: TableName,
    check: Annotated[
        list[str],
        typer.Argument(help="Ids of muted checks, or numbers of `headrace gate mutes`."),
    ],
    *,
    reason: Reason,
    principal: Principal = None,
    as_json: AsJson = False,
) -> None:
    """End mutes and acceptances: what they covered affects the verdict of later batches again.

    For example:

      headrace gate unmute weather visib_range --reason "the sensor is repaired"
      headrace gate unmute schedule 14 --reason "the holidays are over"
    """
    numbers = [int(name) for name in check if name.isdecimal()]
    checks = [name for name in check if not name.isdecimal()]
    documents: dict[str, Any] = {}
    if numbers:
        from headrace.operations.exemptions import end_exemptions

        ended = end_exemptions(
            home_folder(),
            declared_table(table),
            numbers,
            principal=acting_name(principal),
            reason=reason,
        )
        documents = {"table": table, "ended": numbers, "action": ended.document()}
    if checks:
        documents |= perform("unmute", table, "", principal, reason, checks=checks)
    _emit(documents, as_json)


@explained
def mutes(
    *,
    table: Annotated[str | None, typer.Option(help="Only this table.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Include those that have ended.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List what does not count at present: mutes, and accepted findings of approved batches.

    For example:

      headrace gate mutes --table schedule
    """
    from headrace.lake.overrides.mute_listing import mute_rows

    names = [declared.name for declared in tables(table)]
    rows = mute_rows(home_folder(), names, everything=everything)
    if as_json:
        emit_json(rows)
        return
    columns = ["no#", "table", "what", "who", "since", "until", "reason", "applied#", "state"]
    grid(
        "mutes",
        columns,
        [
            [
                row["id"], row["table"], f"{row['form']}: {'; '.join(row['covers'])}",
                row["principal"], row["at"][:10], row["last_day"], row["reason"],
                len(row["applied"]), row["state"],
            ]
            for row in rows
        ],
    )  # fmt: skip
    if not rows:
        out.print("nothing is muted or accepted; --all lists those that have ended")


def _emit(muted: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit_json(muted)
        return
    if "muted" in muted:
        rows = [[check, why] for check, why in muted["muted"].items()]
        grid(f"muted checks of {muted['table']}", ["check", "why"], rows)
    if ended := muted.get("ended"):
        out.print(f"ended: {', '.join(map(str, ended))}")
    out.print(_NEXT)
