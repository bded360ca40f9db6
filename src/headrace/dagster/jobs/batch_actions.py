"""On-call actions on a batch as jobs: the commands of `headrace gate`, for the Dagster UI.

Each job is one op that calls the same function as the command. The policy decides who may do what.
A refused action is recorded, and its run fails with the message.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import create_model

from headrace.core.batch_actions import BATCH_ACTIONS, BatchAction
from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.core.permissions import recorded_name
from headrace.dagster.checks.ledger_days import decision_events, sentence
from headrace.dagster.failures import readable
from headrace.lake.table import Table
from headrace.web.dagster_links import ACTIONS, empty_form, job_name, op_name

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline


def _config(action: BatchAction) -> type[dg.Config]:
    """Return the config class of an action's job."""
    fields: dict[str, Any] = {
        "table": (str, ...),
        "slot": (str, ""),
        "batch": (str, "" if action.of_table else ...),
        "principal": (str, ...),
        "reason": (str, ...),
    }
    if "checks" in action.rows:
        fields["checks"] = (list[str], [])
    if "lines" in action.rows:
        fields["lines"] = (list[int], [])
    if action.expires != "never":
        fields["expires"] = (str, "" if action.expires == "optional" else ...)
    if action.accepts:
        fields["right_until"] = (str, "")
    return create_model(action.name.capitalize(), __base__=dg.Config, **fields)


def oncall_jobs(
    pipeline: "Pipeline", home: Callable[[], Home] = Home.find
) -> list[dg.JobDefinition]:
    """Return one job for each action on batches, for the tables of a pipeline."""
    return [_job(action, pipeline, home) for action in ACTIONS]


def _job(action: str, pipeline: "Pipeline", home: Callable[[], Home]) -> dg.JobDefinition:
    declared = BATCH_ACTIONS[action]

    def act(context: dg.OpExecutionContext, config: dg.Config) -> None:
        arguments = config.model_dump()
        with readable():
            decision = _do(action, home(), pipeline, arguments)
            table = _table(pipeline, arguments["table"])
            for event in decision_events(context.instance, home(), table, decision):
                # `log_event` also accepts check evaluations, although its type does not say so.
                context.log_event(event)  # type: ignore[arg-type]
        context.log.info("%s", _outcome(decision))
        if remaining := decision.get("incomplete"):
            raise dg.Failure("; ".join(remaining), allow_retries=False)

    act.__annotations__["config"] = _config(declared)
    step = dg.op(name=op_name(action), description=declared.summary)(act)

    @dg.job(
        name=job_name(action),
        description=f"{declared.summary} For on-call; `headrace gate {declared.command_name}` does"
        " the same.",
        config=empty_form(action),
        tags={"headrace/pipeline": pipeline.name},
    )
    def acted() -> None:
        step()

    return acted


def _table(pipeline: "Pipeline", name: str) -> Table:
    for table in pipeline.tables:
        if table.name == name:
            return table
    names = ", ".join(table.name for table in pipeline.tables)
    raise DeclarationError(f"no table {name!r}", where="config: table", fix=f"one of {names}")


def _do(
    action: str, home: Home, pipeline: "Pipeline", arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Perform the action as the command does; return the recorded decision.

    Raises:
        DeclarationError: the table is unknown, or the principal or reason is empty.
    """
    from headrace.operations import batch_actions

    table = _table(pipeline, arguments["table"])
    attribution = {name: arguments[name].strip() for name in ("principal", "reason")}
    attribution["principal"] = recorded_name(attribution["principal"])
    for name, value in attribution.items():
        if not value:
            raise DeclarationError(
                f"{name} is empty",
                where=f"config: {name}",
                fix="say who you are (as listed in policy.yaml) and why: both are recorded",
            )
    return batch_actions.perform(
        action,
        home,
        table,
        arguments["batch"] or arguments["slot"],
        expires=_expires(BATCH_ACTIONS[action], arguments),
        right_until=str(arguments.get("right_until", "")).strip() or None,
        checks=arguments.get("checks"),
        lines=arguments.get("lines"),
        **attribution,
    )


def _expires(action: BatchAction, arguments: Mapping[str, Any]) -> str | None:
    """Return the expiry of the action as entered; None if it is optional and empty."""
    if action.expires == "required":
        return str(arguments["expires"])
    return str(arguments.get("expires", "")).strip() or None


def _outcome(decision: Mapping[str, Any]) -> str:
    """Return the action and the state of the batch in words, for the log of the run."""
    lines = [sentence(decision) or "nothing to do: the decision was made before"]
    if "state" in decision:
        lines.append(f"{decision['table']} {decision['slot']} is {decision['state']}")
    if "delivered" in decision:
        lines.append(
            f"{decision['delivered']:,} rows delivered, {decision['quarantined']:,} in quarantine"
        )
    lines += [f"accepted in later batches: {what}" for what in decision.get("accepted") or ()]
    if decision.get("muted"):
        lines.append(f"muted: {', '.join(decision['muted'])}")
    lines += [f"not done yet: {task}" for task in decision.get("incomplete") or ()]
    return "\n".join(lines)
