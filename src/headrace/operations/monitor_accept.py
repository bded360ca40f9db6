"""Somebody says that the data of a window are right: from there on this is what they look like."""

from collections.abc import Sequence
from dataclasses import replace

from headrace.core.clock import now_us
from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.core.permissions import Policy
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import Action, record
from headrace.monitoring.decisions.ledger import Acceptance, DecisionLedger, Entry, newest_entries
from headrace.monitoring.evidence.acceptance import in_force, open_topics
from headrace.monitoring.evidence.model import DISTRUSTED, alarms, day_text
from headrace.operations.authorization import permit
from headrace.operations.monitor_acknowledge import need_who_and_why, window_of
from headrace.pipeline.definition import Pipeline
from headrace.reports.monitor.facts import tell_owner


def accept(
    pipeline: Pipeline,
    home: Home,
    which: str,
    *,
    principal: str,
    reason: str,
    withdraw: bool = False,
    policy: Policy | None = None,
) -> tuple[Acceptance, bool]:
    """Accept the data of the window that holds a day, as they are known now, or take that back.

    The next run of the monitor judges by it. Also whether that was not on record before.

    Raises:
        DeclarationError: no such window, nothing in its data that can be accepted (or was), or the
            principal or reason is empty.
        RefusedError: the policy does not allow it; that is on the record.
    """
    name, ledger = pipeline.monitor.name, DecisionLedger(home)
    entry = newest_entries(ledger.entries(name))[window_of(pipeline, home, which).window.end]
    here = [
        acceptance
        for acceptance in ledger.acceptances(name)
        if acceptance.window_end == entry.window.end
    ]
    about = _taken_back(name, entry, here) if withdraw else _found(name, entry, here)
    need_who_and_why(f"accepting the data of {entry.window.text}", name, principal, reason)
    words = ", ".join(one.partition(":")[2] for one in about)
    draft = Action(
        principal=principal,
        action="accept",
        table=name,
        reason=reason,
        slot=day_text(entry.window.first),
        note=f"window {entry.window.text} of monitor {name}: "
        f"{'withdrawn' if withdraw else 'accepted'} {words}",
    )
    said = Acceptance(name, entry.window.end, principal, reason, about, now_us(), withdraw)
    with Ledger(home) as batches:
        permit(batches, draft, policy)
        new = _standing(ledger, said) is None
        if new:
            record(batches, draft)  # first: nothing is in force that is not on the trail
            ledger.accept(said)
    tell_owner(pipeline, home)
    done = _standing(ledger, said)
    assert done is not None
    return done, new


def _standing(ledger: DecisionLedger, said: Acceptance) -> Acceptance | None:
    """This very thing on record, unless the opposite was said of the window since."""
    found = None
    for acceptance in ledger.acceptances(said.pipeline):
        if acceptance.window_end == said.window_end and acceptance.withdrawn != said.withdrawn:
            found = None
        elif replace(acceptance, recorded_at=said.recorded_at, cursor=0) == said:
            found = acceptance
    return found


def _found(name: str, entry: Entry, here: Sequence[Acceptance]) -> tuple[str, ...]:
    """What of the window is accepted with this: what was, and what stands now."""
    known = in_force(here).get(entry.window.end, {})
    about = {*known, *open_topics(entry.evidence)}
    if about:
        return tuple(sorted(about))
    faults = [alarm.sentence for alarm in alarms(entry.evidence) if alarm.kind in DISTRUSTED]
    if faults:
        raise DeclarationError(
            f"nothing in the data of {entry.window.text} can be accepted; "
            f"what is wrong was told by gates and sources: {faults[0]}",
            where=f"monitor {name}",
            fix="headrace gate approve, a corrected delivery, or headrace monitor ack "
            f"{day_text(entry.window.first)}",
        )
    raise DeclarationError(
        f"no fault of the data of {entry.window.text} is known that could be accepted",
        where=f"monitor {name}",
        fix=f"headrace monitor explain {day_text(entry.window.first)}",
    )


def _taken_back(name: str, entry: Entry, here: Sequence[Acceptance]) -> tuple[str, ...]:
    """What was accepted of the window, or was when it was taken back last."""
    if not here:
        raise DeclarationError(
            f"nothing of {entry.window.text} was accepted",
            where=f"monitor {name}",
            fix="headrace monitor status",
        )
    known = in_force(here).get(entry.window.end)
    return tuple(sorted(known)) if known else here[-1].about
