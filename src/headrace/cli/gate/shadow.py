"""`headrace gate shadow`: effects that shadow checks would have had on batches."""

from typing import Annotated, Any

import typer

from headrace.cli.gate.gates import tables
from headrace.cli.options import AsJson
from headrace.cli.output import emit_json, explained, grid, out, progress

_LISTED = 5
_DOES = ("block", "quarantine", "warn", "error")


@explained
def shadow(
    table: Annotated[str | None, typer.Argument(help="Only this table.")] = None,
    *,
    rehearse: Annotated[
        bool,
        typer.Option(
            "--rehearse",
            help="Run the shadow checks over existing deliveries; writes nothing.",
        ),
    ] = False,
    first: Annotated[str, typer.Option("--from", help="First partition of a rehearsal.")] = "",
    last: Annotated[str, typer.Option("--to", help="Last partition of a rehearsal.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show what each shadow check would have blocked, quarantined or warned about, and when.

    A check with `meta: {shadow: true}` runs on every new batch and does not affect the verdict. A
    new check has no results for earlier batches: --rehearse runs it on all of them. When you trust
    the check, remove `shadow: true`; from then on it affects verdicts, and batches are validated
    again with it.

    For example:

      headrace gate shadow weather --rehearse
    """
    from headrace.core.clock import parse_days
    from headrace.core.errors import DeclarationError
    from headrace.core.home import Home
    from headrace.lake.shadow_checks import recorded, rehearsed

    first, last = parse_days(first or None, last or None)
    if (first or last) and not rehearse:
        raise DeclarationError("--from and --to are for a rehearsal", fix="add --rehearse")
    home, checks = Home.find(), []
    with progress(quiet=as_json):
        for declared in tables(table):
            slots = (first, last or "~") if first or last else None
            shadows = rehearsed(home, declared, slots) if rehearse else recorded(home, declared)
            checks += [shadow.document() for shadow in shadows]
    if as_json:
        emit_json({"rehearsed": rehearse, "checks": checks})
    else:
        _show(checks)


def _show(checks: list[dict[str, Any]]) -> None:
    if not checks:
        out.print("no check is, or was, in shadow; add meta: {shadow: true} to one")
        return
    grid(
        "effects that shadow checks would have had",
        ["table", "check", "batches#", "from", "to", *(f"{name}#" for name in _DOES), "rows#"],
        [
            [check["table"], check["check"], check["batches"], check["first"], check["last"]]
            + [check[name] for name in _DOES]
            + [check["rows"]]
            for check in checks
        ],
    )
    for check in checks:
        for does, days in check["days"].items():
            for day in days[:_LISTED]:
                _say(f"{check['check']} would {does} {day['slot']}: {day['reason']}")
            if len(days) > _LISTED:
                _say(f"{check['check']} would {does} {len(days) - _LISTED} more: see --json")


def _say(text: str) -> None:
    """Print names and reasons, which may contain square brackets that are not markup."""
    out.print(text, soft_wrap=True, highlight=False, markup=False)
