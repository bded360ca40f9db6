"""What a person can do about a batch, the likeliest first: commands, and pages that do the same."""

import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from headrace.core.clock import DAY, from_us
from headrace.gates.verdict import Judgement
from headrace.reports.batch.model import Step

MUTED = 7  # days of a mute, unless the reader writes another date


class Link(Protocol):
    """From an action to the page where a browser can do it; "" where there is none."""

    def __call__(self, action: str, **fields: object) -> str:
        """`fields` are filled in there, besides table and batch."""
        ...


def no_link(action: str, **fields: object) -> str:
    """Of an installation without a user interface."""
    del action, fields
    return ""


@dataclass(frozen=True)
class Case:
    """The batch that something is to be done about, and when it is looked at (microseconds UTC).

    Attributes:
        allowed: actions that would be accepted; no others are offered.
        contact: who can correct a delivery, in words.
        mutable: failed checks that a mute is accepted for.
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
    def named(self) -> str:
        """Table and batch as arguments; the start of an id is enough."""
        return shlex.join([self.table, self.batch_id[:12]])

    def step(self, name: str, does: str, action: str, why: str, **fields: object) -> Step:
        """A step whose command has the name of its action."""
        command = f"headrace gate {action} {self.named} --reason {shlex.quote(why)}"
        return Step(name, does, command, self.link(action, **fields), action)


def steps(case: Case) -> tuple[Step, ...]:
    """The steps that make sense for a batch in its state."""
    return tuple(_steps(case))


def _steps(case: Case) -> Iterator[Step]:
    if case.state == "pending":
        yield from _held(case)
    if case.state == "published":
        yield from _quarantined(case)
    yield Step(
        "Look closer",
        "Every column against the last good batch, and every check, in a terminal.",
        f"headrace gate compare {case.named}\nheadrace gate show {case.named}",
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
            "Take the recall back",
            "The batch was right: its rows are shown again, usable from that moment.",
            "restore",
            "why it is right",
        )


def _held(case: Case) -> Iterator[Step]:
    if "ack" in case.allowed:
        yield case.step(
            "Acknowledge",
            "You are on it: no more messages about this batch.",
            "ack",
            "looking into it",
        )
    if case.judgement.verdict.value == "ERROR" and "rerun" in case.allowed:
        yield case.step(
            "Judge it again",
            "Once the cause of the crash is mended, the same bytes are judged anew.",
            "rerun",
            "what was mended",
        )
    yield Step(
        "Ask for a corrected delivery",
        f"The safe way{case.contact and f': tell {case.contact}'}. Once it is there, this run"
        " judges it, and it takes this batch's place.",
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


def _override(case: Case) -> Step:
    others = ""
    if case.judgement.quarantined_count:
        others = " The rows that fail a check of their own go to quarantine."
    return case.step(
        "Approve",
        f"The data is right and the gate is not: publish the batch.{others} Who and why go with it"
        " into every release.",
        "release",
        "why it is right",
    )


def _mend(case: Case) -> Step:
    """No override can let in what could not be read."""
    return Step(
        "Change the contract",
        "The new form is meant: review the proposal, describe the form in the contract, and the"
        " same bytes are judged again.",
        f"headrace contract propose {shlex.quote(case.table)}\n{_run(case.slot)}",
    )


def _quarantined(case: Case) -> Iterator[Step]:
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


def _mute(case: Case) -> Step:
    """Offer to silence a noisy check by name and for a time, never a whole gate."""
    check = case.mutable[0]
    until = f"{from_us(case.now + MUTED * DAY):%Y-%m-%d}"
    named = shlex.join([case.table, check])
    return Step(
        "Mute the check",
        "It cries wolf: it goes on telling, and decides nothing of batches judged from now on,"
        " until a day.",
        f"headrace gate mute {named} --until {until} --reason 'why'",
        case.link("mute", checks=[check], expires=f"{MUTED}d"),
    )


def _run(slot: str) -> str:
    """The run that takes up a delivery of this slot."""
    day = shlex.quote(slot)
    days = f" --from {day} --to {day}" if slot[:1].isdigit() else ""
    return f"headrace run --stage ingest{days}"
