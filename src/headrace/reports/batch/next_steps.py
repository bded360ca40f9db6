"""Possible actions on a batch, the likeliest first: commands, and links to Dagster jobs."""

import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from headrace.core.clock import DAY, from_us
from headrace.gates.verdict import Judgement
from headrace.reports.batch.model import ActionStep

MUTED = 7  # default length of a mute in days


class Link(Protocol):
    """Function that returns the URL for an action in the browser; "" if there is none."""

    def __call__(self, action: str, **fields: object) -> str:
        """Return the URL of the action's form, prefilled with `fields`."""
        ...


def no_link(action: str, **fields: object) -> str:
    """Return "", for an installation without a user interface."""
    del action, fields
    return ""


@dataclass(frozen=True)
class ActionCase:
    """Batch to act on, with its state at time `now` (microseconds UTC).

    Attributes:
        allowed: allowed actions; no others are offered.
        mutable: failed checks that can be muted.
        contact: text that names those who can correct a delivery.
    """

    table: str
    slot: str
    batch_id: str
    state: str
    judgement: Judgement
    now: int
    allowed: Collection[str]
    mutable: tuple[str, ...] = ()
    contact: str = ""
    link: Link = no_link

    @property
    def arguments(self) -> str:
        """Table and batch as command arguments, with a shortened batch id."""
        return shlex.join([self.table, self.batch_id[:12]])

    def step(self, name: str, does: str, action: str, why: str, **fields: object) -> ActionStep:
        """Return the step for a `headrace gate` action on this batch; `why` is a sample reason."""
        command = f"headrace gate {action} {self.arguments} --reason {shlex.quote(why)}"
        return ActionStep(name, does, command, self.link(action, **fields), action)


def steps(case: ActionCase) -> tuple[ActionStep, ...]:
    """Return the steps that are possible for a batch in its state."""
    return tuple(_steps(case))


def _steps(case: ActionCase) -> Iterator[ActionStep]:
    if case.state == "pending":
        yield from _pending(case)
    if case.state == "published":
        yield from _quarantined(case)
    yield ActionStep(
        "Look closer",
        "Compare every column with the last good batch, and show every check, in a terminal.",
        f"headrace gate compare {case.arguments}\nheadrace gate show {case.arguments}",
    )
    if case.state in {"pending", "published"} and "mute" in case.allowed:
        yield _mute(case)
    if "recall" in case.allowed:
        yield case.step(
            "Recall the batch",
            "The batch should never have been published: remove its rows from tables and stores,"
            " and mark the releases and models that contain them.",
            "recall",
            "what is wrong",
        )
    if "restore" in case.allowed:
        yield case.step(
            "Withdraw the recall",
            "The batch was right: publish its rows again. They are usable from then on.",
            "restore",
            "why it is right",
        )


def _pending(case: ActionCase) -> Iterator[ActionStep]:
    if "ack" in case.allowed:
        yield case.step(
            "Acknowledge",
            "You are working on it: send no more messages about this batch.",
            "ack",
            "looking into it",
        )
    if case.judgement.verdict.value == "ERROR" and "rerun" in case.allowed:
        yield case.step(
            "Validate it again",
            "The cause of the crash is fixed: validate the same bytes again.",
            "rerun",
            "what was fixed",
        )
    yield ActionStep(
        "Ask for a corrected delivery",
        f"This is the safe way{case.contact and f': ask {case.contact}'}. When the corrected"
        " delivery has arrived, run this command: a delivery that passes replaces this batch.",
        _run(case.slot),
    )
    if "release" in case.allowed:
        yield _override(case)
    elif case.judgement.breaks_contract:
        yield _mend(case)
    if "reject" in case.allowed:
        yield case.step(
            "Reject",
            "The data is wrong and will not be corrected: exclude the batch permanently.",
            "reject",
            "what is wrong",
        )


def _override(case: ActionCase) -> ActionStep:
    quarantine_note = ""
    if case.judgement.quarantined_count:
        quarantine_note = " Rows that fail a check of single rows go to quarantine."
    return case.step(
        "Approve",
        f"The data is right and the gate is wrong: publish the batch.{quarantine_note} Your name"
        " and your reason are recorded in every release with this batch.",
        "release",
        "why it is right",
    )


def _mend(case: ActionCase) -> ActionStep:
    """Offer a change of the contract: a batch that breaks the contract cannot be approved."""
    return ActionStep(
        "Change the contract",
        "The new format is intended: review the proposal and describe the format in the contract;"
        " the same bytes are then validated again.",
        f"headrace contract propose {shlex.quote(case.table)}\n{_run(case.slot)}",
    )


def _quarantined(case: ActionCase) -> Iterator[ActionStep]:
    rows = "the row" if case.judgement.quarantined_count == 1 else "the rows"
    if "release" in case.allowed:
        yield case.step(
            f"Approve {rows}",
            f"In quarantine, but right: publish {rows}. Usable from then on, not earlier.",
            "release",
            "why they are right",
        )
    if "reject" in case.allowed:
        yield case.step(
            f"Reject {rows}",
            f"In quarantine, wrong, and will not be corrected: exclude {rows} permanently.",
            "reject",
            "what is wrong",
        )


def _mute(case: ActionCase) -> ActionStep:
    """Offer to mute a single noisy check for a limited time."""
    check = case.mutable[0]
    until = f"{from_us(case.now + MUTED * DAY):%Y-%m-%d}"
    arguments = shlex.join([case.table, check])
    return ActionStep(
        "Mute the check",
        "The check is noisy: let it report, but not block batches that are validated from now on,"
        " until a date that you choose.",
        f"headrace gate mute {arguments} --until {until} --reason 'why'",
        case.link("mute", checks=[check], expires=f"{MUTED}d"),
    )


def _run(slot: str) -> str:
    """Return the command that ingests a delivery of this partition."""
    day = shlex.quote(slot)
    days = f" --from {day} --to {day}" if slot[:1].isdigit() else ""
    return f"headrace run --stage ingest{days}"
