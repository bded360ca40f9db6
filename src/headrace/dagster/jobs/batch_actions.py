"""What on-call may do about a batch, as jobs: the commands of `headrace gate`, from a browser.

Each job is one step that calls the same function as the command. Who may do what is the policy's
to say; a refusal is on the record, and fails the run with its sentence.
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
    """Return the configuration of an action's job; an empty principal or reason is refused."""
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
    return create_model(action.name.capitalize(), __base__=dg.Config, **fields)


def oncall_jobs(
    pipeline: "Pipeline", home: Callable[[], Home] = Home.find
) -> list[dg.JobDefinition]:
    """Return one job for each action on batches, for the tables of a pipeline."""
    return [_job(action, pipeline, home) for action in ACTIONS]


def _job(action: str, pipeline: "Pipeline", home: Callable[[], Home]) -> dg.JobDefinition:
    declared = BATCH_ACTIONS[action]

    def act(context: dg.OpExecutionContext, config: dg.Config) -> None:
        given = config.model_dump()
        with readable():
            done = _do(action, home(), pipeline, given)
            table = _table(pipeline, given["table"])
            for event in decision_events(context.instance, home(), table, done):
                # Takes evaluations as well, whatever its type says: assets log theirs so too.
                context.log_event(event)  # type: ignore[arg-type]
        context.log.info("%s", _outcome(done))
        if left := done.get("incomplete"):
            raise dg.Failure("; ".join(left), allow_retries=False)

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
    known = ", ".join(table.name for table in pipeline.tables)
    raise DeclarationError(f"no table {name!r}", where="config: table", fix=f"one of {known}")


def _do(action: str, home: Home, pipeline: "Pipeline", given: Mapping[str, Any]) -> dict[str, Any]:
    """Call what the command calls; returns the batch as it is then, if it is about one."""
    from headrace.operations import batch_actions

    table = _table(pipeline, given["table"])
    who = {name: given[name].strip() for name in ("principal", "reason")}
    who["principal"] = recorded_name(who["principal"])
    for name, value in who.items():
        if not value:
            raise DeclarationError(
                f"{name} is empty",
                where=f"config: {name}",
                fix="say who you are, as policy.yaml lists you, and why: both are kept for good",
            )
    return batch_actions.perform(
        action,
        home,
        table,
        given["batch"] or given["slot"],
        expires=_expires(BATCH_ACTIONS[action], given),
        checks=given.get("checks"),
        lines=given.get("lines"),
        **who,
    )


def _expires(action: BatchAction, given: Mapping[str, Any]) -> str | None:
    """Return when it ends; None where it may be left empty and is."""
    if action.expires == "required":
        return str(given["expires"])
    return str(given.get("expires", "")).strip() or None


def _outcome(done: Mapping[str, Any]) -> str:
    """What was done and how the batch is now, for the log of the run."""
    told = [sentence(done) or "nothing had to be done: it was decided before"]
    if "state" in done:
        told.append(f"{done['table']} {done['slot']} is {done['state']}")
    if "delivered" in done:
        told.append(f"{done['delivered']:,} rows delivered, {done['quarantined']:,} in quarantine")
    if done.get("muted"):
        told.append(f"muted: {', '.join(done['muted'])}")
    told += [f"still to be done: {one}" for one in done.get("incomplete") or ()]
    return "\n".join(told)
