"""`headrace retrain`: training of a challenger on newer rows, and comparison with the champion."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from headrace.cli.options import AsJson, DryRun, OneModel, OnePipeline, Principal
from headrace.cli.output import creating, emit_json, explained, out, progress

if TYPE_CHECKING:
    from headrace.retraining.workflow import RetrainingOutcome


@explained
@creating
def retrain(
    pipeline: OnePipeline = None,
    *,
    trigger: Annotated[
        str | None,
        typer.Option(help="Id of the trigger: from a decision, or from a retraining to continue."),
    ] = None,
    as_of: Annotated[
        str, typer.Option(help="Ignore rows and labels after this time or day; default: now.")
    ] = "",
    reason: Annotated[
        str, typer.Option("--reason", "-m", help="Reason, if there is no trigger; recorded.")
    ] = "",
    model: OneModel = None,
    principal: Principal = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Release the dataset, train a challenger on it, and promote it if it is not worse.

    Rows of windows with data faults are excluded. Both models are compared on the newest rows: no
    segment may get clearly worse. A promoted model is monitored, and rolled back automatically if
    it performs worse. All steps are recorded with the requesting user and the reason. If you run
    the command again with the same trigger, it continues after the last finished step.

    For example:

      headrace retrain flights --reason "new airport" --dry-run
    """
    from headrace.cli.shared import one_model
    from headrace.core.home import Home
    from headrace.core.permissions import acting
    from headrace.monitoring.decisions.ledger import DecisionLedger
    from headrace.retraining import service
    from headrace.retraining.request import requested

    if trigger is not None:
        _refuse_beside_trigger(**{"--reason": reason, "--as-of": as_of, "--as": principal})
    home, declared = Home.find(), one_model(pipeline, model)
    if trigger is None:
        request = service.asked_by(declared, home, acting(principal), reason, as_of=as_of)
    else:
        request = requested(declared.monitor, DecisionLedger(home), trigger)
    with progress(quiet=as_json):
        if dry_run:
            _print_plan(service.dry_run(declared, home, request), as_json=as_json)
            return
        outcome = service.carry(declared, home, request)
    if as_json:
        emit_json(outcome.to_json())
    else:
        _print_outcome(outcome)


def _refuse_beside_trigger(**options: str | None) -> None:
    """Reject options given with --trigger: its record has the reason, time and principal."""
    from headrace.core.errors import DeclarationError

    names = [name for name, value in options.items() if value]
    if names:
        raise DeclarationError(
            f"--trigger cannot be combined with {', '.join(names)}: its record already has"
            " these values",
            where="headrace retrain",
            fix=f"omit {' and '.join(names)}; or omit --trigger to request another retraining",
        )


def _print_plan(plan: dict[str, Any], *, as_json: bool) -> None:
    from headrace.core.clock import iso

    if as_json:
        emit_json(plan)
        return
    out.print(f"as of {plan['as_of']}, {plan['dataset']} ({plan['change']}) would be released,"
              " and these would be trained:", highlight=False, soft_wrap=True)  # fmt: skip
    for candidate in plan["candidates"]:
        out.print(f"  {candidate}", highlight=False, soft_wrap=True)
    for span in plan["withheld"]:
        days = f"{iso(span['from_us'])} to {iso(span['until_us'])}"
        out.print(Text(f"  without {days}: {span['because']}"), soft_wrap=True)


def _print_outcome(outcome: "RetrainingOutcome") -> None:
    if not outcome.began:
        out.print(f"{outcome.trigger_id} was already carried out:", highlight=False)
    for name, step in outcome.steps.items():
        outputs = [str(step[key]) for key in ("dataset", "model", "recipe") if key in step]
        text = ", ".join(outputs)
        seconds = f" in {step['seconds']:.1f} s" if "seconds" in step else ""
        out.print(Text.assemble((name.replace("_", " "), "bold"), f"{seconds} {text}".rstrip()),
                  soft_wrap=True)  # fmt: skip
    out.print(Text(outcome.summary), soft_wrap=True)
