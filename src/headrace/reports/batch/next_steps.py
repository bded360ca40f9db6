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
        "Every column against the last good batch, and every check, in a terminal.",
        f"headrace gate compare {case.arguments}\nheadrace gate show {case.arguments}",
    )
    if case.state in {"pending", "published"} and "mute" in case.allowed:
        yield _mute(case)
    if "recall" in case.allowed:
        yield case.step(
            "Recall the batch",
            "It should never have been published: its rows leave tables and stores, and releases"
            " and models that hold them are marked.",
            "recall",
            "what is wrong",
        )
    if "restore" in case.allowed:
        yield case.step(
            "Withdraw the recall",
            "The batch was right: its rows are shown again, usable from that moment.",
            "restore",
            "why it is right",
        )


def _pending(case: ActionCase) -> Iterator[ActionStep]:
    if "ack" in case.allowed:
        yield case.step(
            "Acknowledge",
            "You are on it: no more messages about this batch.",
            "ack",
            "looking into it",
        )
    if case.judgement.verdict.value == "ERROR" and "rerun" in case.allowed:
        yield case.step(
            "Validate it again",
            "Once the cause of the crash is fixed, the same bytes are validated again.",
            "rerun",
            "what was fixed",
        )
    yield ActionStep(
        "Ask for a corrected delivery",
        f"The safe way{case.contact and f': ask {case.contact}'}. Once it is there, this run"
        " validates it, and it replaces this batch.",
        _run(case.slot),
    )
    if "release" in case.allowed:
        yield _override(case)
    elif case.judgement.breaks_contract:
        yield _mend(case)
    if "reject" in case.allowed:
        yield case.step(
            "Reject",
            "The data is wrong and will not be corrected: set it aside for good.",
            "reject",
            "what is wrong",
        )


def _override(case: ActionCase) -> ActionStep:
    quarantine_note = ""
    if case.judgement.quarantined_count:
        quarantine_note = " The rows that fail a check of their own go to quarantine."
    return case.step(
        "Approve",
        f"The data is right and the gate is not: publish the batch.{quarantine_note} Who and why go"
        " with it into every release.",
        "release",
        "why it is right",
    )


def _mend(case: ActionCase) -> ActionStep:
    """Offer a change of the contract: a batch that breaks the contract cannot be approved."""
    return ActionStep(
        "Change the contract",
        "The new form is intended: review the proposal, describe the form in the contract, and the"
        " same bytes are validated again.",
        f"headrace contract propose {shlex.quote(case.table)}\n{_run(case.slot)}",
    )


def _quarantined(case: ActionCase) -> Iterator[ActionStep]:
    rows = "the row" if case.judgement.quarantined_count == 1 else "the rows"
    if "release" in case.allowed:
        yield case.step(
            f"Approve {rows}",
            "In quarantine, and right after all: publish. Usable from that moment, not before.",
            "release",
            "why they are right",
        )
    if "reject" in case.allowed:
        yield case.step(
            f"Reject {rows}",
            "In quarantine, wrong, and nobody will correct it: set aside for good.",
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
        "It is a noisy check: it keeps reporting, but blocks no batch that is validated from now"
        " on, until a date that you choose.",
        f"headrace gate mute {arguments} --until {until} --reason 'why'",
        case.link("mute", checks=[check], expires=f"{MUTED}d"),
    )


def _run(slot: str) -> str:
    """Return the command that ingests a delivery of this partition."""
    day = shlex.quote(slot)
    days = f" --from {day} --to {day}" if slot[:1].isdigit() else ""
    return f"headrace run --stage ingest{days}"
