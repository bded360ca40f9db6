"""What on-call may do about a batch, as jobs: the commands of `headrace gate`, from a browser.

Each job is one step that calls the same function as the command. Who may do what is the policy's
to say; a refusal is on the record, and fails the run with its sentence.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from headrace.core.clock import end_of
from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.core.permissions import recorded_name
from headrace.dagster.checks.ledger_days import decision_events, sentence
from headrace.dagster.failures import readable
from headrace.lake.table import Table
from headrace.web.dagster_links import ACTIONS, empty_form, job_name, op_name

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline


class OnBatch(dg.Config):
    """Asked of every action. An empty principal, or an empty reason, is refused."""

    table: str
    slot: str = ""
    batch: str
    principal: str
    reason: str


class OnRows(OnBatch):
    """For all of the batch, or for what failed these checks, or for these lines."""

    checks: list[str] = []  # noqa: RUF012 - Config copies its defaults
    lines: list[int] = []  # noqa: RUF012


class Release(OnRows):
    """`expires` as `7d`, a day (to its end) or a moment; never if empty."""

    expires: str = ""


class Mute(dg.Config):
    """`expires` as `7d`, a day (to its end) or a moment; a mute always ends."""

    table: str
    slot: str = ""
    batch: str = ""
    checks: list[str] = []  # noqa: RUF012 - Config copies its defaults
    expires: str
    principal: str
    reason: str


# What each action is for, and its configuration.
_FORMS: Mapping[str, tuple[str, type[dg.Config]]] = {
    "release": ("Publish a batch that the gate held back, but for rows that fail.", Release),
    "quarantine": ("Take rows of a published batch out, and keep them apart.", OnRows),
    "reject": ("Set a batch that the gate held back aside for good.", OnRows),
    "rerun": ("Judge a batch anew, from its delivered bytes.", OnBatch),
    "mute": ("Let checks of a table not stop anything for a while.", Mute),
    "recall": ("Take a published batch out of its table, and taint what holds it.", OnBatch),
    "restore": ("Take a recall back: the batch is shown again, from now on.", OnBatch),
    "ack": ("Say that you are on it: no more messages about this batch.", OnBatch),
}


def oncall_jobs(
    pipeline: "Pipeline", home: Callable[[], Home] = Home.find
) -> list[dg.JobDefinition]:
    """Return one job for each action on batches, for the tables of a pipeline."""
    return [_job(action, pipeline, home) for action in ACTIONS]


def _job(action: str, pipeline: "Pipeline", home: Callable[[], Home]) -> dg.JobDefinition:
    about, form = _FORMS[action]
    command = {"release": "approve"}.get(action, action)  # the record keeps the older name

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

    act.__annotations__["config"] = form
    step = dg.op(name=op_name(action), description=about)(act)

    @dg.job(
        name=job_name(action),
        description=f"{about} For on-call; `headrace gate {command}` does the same.",
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
    batch = given["batch"] or given["slot"]
    if action == "mute":
        ends = end_of(given["expires"])
        return batch_actions.mute(home, table, given["checks"], expires=ends, **who)
    more: dict[str, Any] = {}
    if action in {"release", "quarantine", "reject"}:
        more["scope"] = {key: given[key] for key in ("checks", "lines") if given[key]}
    if action == "release" and given["expires"].strip():
        more["expires"] = end_of(given["expires"])
    done: dict[str, Any] = getattr(batch_actions, action)(home, table, batch, **who, **more)
    return done


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
