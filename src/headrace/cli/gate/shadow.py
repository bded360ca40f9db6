"""`headrace gate shadow`: what checks in shadow would have done."""

from typing import Annotated, Any

import typer

from headrace.cli.gate.gates import Json, tables
from headrace.cli.output import emit_json, explained, grid, out, progress

_SHOWN = 5
_DOES = ("block", "quarantine", "warn", "error")


@explained
def shadow(
    table: Annotated[str | None, typer.Argument(help="Only this table.")] = None,
    *,
    rehearse: Annotated[
        bool,
        typer.Option(
            "--rehearse",
            help="Run the checks in shadow over the deliveries that are there; writes nothing.",
        ),
    ] = False,
    first: Annotated[str, typer.Option("--from", help="First slot of a rehearsal.")] = "",
    last: Annotated[str, typer.Option("--to", help="Last slot of a rehearsal.")] = "",
    as_json: Json = False,
) -> None:
    """Tell what each check in shadow would have blocked, quarantined or warned of, and when.

    A check with `meta: {shadow: true}` runs on every new batch and decides nothing. A new one knows
    nothing of earlier batches: --rehearse asks it of all of them. When you trust it, take the line
    out; from then on it counts, and batches are judged again by it.
    """
    from headrace.core.clock import parse_days
    from headrace.core.errors import DeclarationError
    from headrace.core.home import Home
    from headrace.lake.shadow_checks import recorded, rehearsed

    first, last = parse_days(first or None, last or None)
    if (first or last) and not rehearse:
        raise DeclarationError("--from and --to are for a rehearsal", fix="add --rehearse")
    home, found = Home.find(), []
    with progress(quiet=as_json):
        for one in tables(table):
            slots = (first, last or "~") if first or last else None
            shadows = rehearsed(home, one, slots) if rehearse else recorded(home, one)
            found += [shadow.document() for shadow in shadows]
    if as_json:
        emit_json({"rehearsed": rehearse, "checks": found})
    else:
        _show(found)


def _show(found: list[dict[str, Any]]) -> None:
    if not found:
        out.print("no check is, or was, in shadow; give one meta: {shadow: true}")
        return
    grid(
        "what checks in shadow would have done",
        ["table", "check", "batches#", "from", "to", *(f"{name}#" for name in _DOES), "rows#"],
        [
            [one["table"], one["check"], one["batches"], one["first"], one["last"]]
            + [one[name] for name in _DOES]
            + [one["rows"]]
            for one in found
        ],
    )
    for one in found:
        for does, days in one["days"].items():
            for day in days[:_SHOWN]:
                _say(f"{one['check']} would {does} {day['slot']}: {day['reason']}")
            if len(days) > _SHOWN:
                _say(f"{one['check']} would {does} {len(days) - _SHOWN} more: see --json")


def _say(text: str) -> None:
    """Names and reasons may hold square brackets, which are no markup."""
    out.print(text, soft_wrap=True, highlight=False, markup=False)
