"""`headrace retrain`: train a challenger on newer rows, and let it stand against the champion."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from headrace.cli.output import creating, emit_json, explained, out, progress

if TYPE_CHECKING:
    from headrace.retraining.workflow import Outcome


@explained
@creating
def retrain(
    pipeline: Annotated[
        str | None, typer.Argument(help="The pipeline; may be left out if there is one.")
    ] = None,
    *,
    trigger: Annotated[
        str | None,
        typer.Option(help="What a decision asked for, or carry on one that a person began."),
    ] = None,
    as_of: Annotated[
        str, typer.Option(help="No later row or label is used: a moment, a day; else now.")
    ] = "",
    reason: Annotated[str, typer.Option(help="Why, if no decision asked; it is kept.")] = "",
    principal: Annotated[
        str | None,
        typer.Option("--as", help="Who does it; HEADRACE_PRINCIPAL or the system's user."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be released and tried.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of text.")
    ] = False,
) -> None:
    """Release the dataset as of now, train on it, and promote the model if it is no worse.

    Rows of windows that stand as faulty are left out. The newest rows choose: no segment may get
    clearly worse. A promoted model is watched and rolled back by itself. All steps go on record,
    with who asked and why; the same trigger again goes on where it was, and doubles nothing.
    """
    from headrace.cli.shared import one_pipeline
    from headrace.core.home import Home
    from headrace.core.permissions import acting
    from headrace.monitoring.decisions.ledger import DecisionLedger
    from headrace.retraining import service
    from headrace.retraining.request import requested

    if trigger is not None:
        _alone(**{"--reason": reason, "--as-of": as_of, "--as": principal})
    home, chosen = Home.find(), one_pipeline(pipeline)
    if trigger is None:
        request = service.asked_by(chosen, home, acting(principal), reason, as_of=as_of)
    else:
        request = requested(chosen.monitor, DecisionLedger(home), trigger)
    with progress(quiet=as_json):
        if dry_run:
            _told(service.dry_run(chosen, home, request), as_json=as_json)
            return
        outcome = service.carry(chosen, home, request)
    if as_json:
        emit_json(outcome.to_json())
    else:
        _tell(outcome)


def _alone(**given: str | None) -> None:
    """Refuse options beside a trigger: its record says why, as of when and who asks."""
    from headrace.core.errors import DeclarationError

    named = [name for name, value in given.items() if value]
    if named:
        raise DeclarationError(
            f"with --trigger nothing is left to say by {', '.join(named)}: what it asked for is on"
            " record",
            where="headrace retrain",
            fix=f"leave out {' and '.join(named)}, or --trigger to ask for another retraining",
        )


def _told(plan: dict[str, Any], *, as_json: bool) -> None:
    from headrace.core.clock import iso

    if as_json:
        emit_json(plan)
        return
    out.print(f"as of {plan['as_of']}, {plan['dataset']} ({plan['change']}) would be released,"
              " and these would be tried:", highlight=False, soft_wrap=True)  # fmt: skip
    for one in plan["candidates"]:
        out.print(f"  {one}", highlight=False, soft_wrap=True)
    for span in plan["withheld"]:
        days = f"{iso(span['from_us'])} to {iso(span['until_us'])}"
        out.print(Text(f"  without {days}: {span['because']}"), soft_wrap=True)


def _tell(outcome: "Outcome") -> None:
    if not outcome.began:
        out.print(f"{outcome.trigger_id} has been carried out before:", highlight=False)
    for name, found in outcome.steps.items():
        shown = [str(found[key]) for key in ("dataset", "model", "recipe") if key in found]
        told = ", ".join(shown)
        seconds = f" in {found['seconds']:.1f} s" if "seconds" in found else ""
        out.print(Text.assemble((name.replace("_", " "), "bold"), f"{seconds} {told}".rstrip()),
                  soft_wrap=True)  # fmt: skip
    out.print(Text(outcome.says), soft_wrap=True)
