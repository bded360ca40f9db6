"""Acceptance of a window's data as a baseline, with which later windows are compared."""

from collections.abc import Sequence
from dataclasses import replace

from headrace.core.clock import now_us
from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.core.permissions import PermissionPolicy
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
    window_day: str,
    *,
    principal: str,
    reason: str,
    withdraw: bool = False,
    policy: PermissionPolicy | None = None,
) -> tuple[Acceptance, bool]:
    """Accept the present data of the window that contains a day, or withdraw the acceptance.

    The next run of the monitor takes this into account. Return the record, and True if it is new.

    Raises:
        DeclarationError: there is no such window, it has nothing to accept or to withdraw, or the
            principal or reason is empty.
        RefusedError: the policy does not allow it; the refusal is recorded.
    """
    name, ledger = pipeline.monitor.name, DecisionLedger(home)
    entry = newest_entries(ledger.entries(name))[window_of(pipeline, home, window_day).window.end]
    acceptances = [
        acceptance
        for acceptance in ledger.acceptances(name)
        if acceptance.window_end == entry.window.end
    ]
    topics = (
        _topics_to_withdraw(name, entry, acceptances)
        if withdraw
        else _topics_to_accept(name, entry, acceptances)
    )
    need_who_and_why(f"accepting the data of {entry.window.text}", name, principal, reason)
    words = ", ".join(topic.partition(":")[2] for topic in topics)
    draft = Action(
        principal=principal,
        action="accept",
        table=name,
        reason=reason,
        slot=day_text(entry.window.first),
        note=f"window {entry.window.text} of monitor {name}: "
        f"{'withdrawn' if withdraw else 'accepted'} {words}",
    )
    acceptance = Acceptance(name, entry.window.end, principal, reason, topics, now_us(), withdraw)
    with Ledger(home) as batches:
        permit(batches, draft, policy)
        new = _recorded_acceptance(ledger, acceptance) is None
        if new:
            record(batches, draft)  # first, so that the audit trail has every acceptance
            ledger.accept(acceptance)
    tell_owner(pipeline, home)
    recorded = _recorded_acceptance(ledger, acceptance)
    assert recorded is not None
    return recorded, new


def _recorded_acceptance(ledger: DecisionLedger, request: Acceptance) -> Acceptance | None:
    """Return the recorded acceptance equal to `request`, unless its opposite was recorded later."""
    recorded = None
    for acceptance in ledger.acceptances(request.pipeline):
        if (
            acceptance.window_end == request.window_end
            and acceptance.withdrawn != request.withdrawn
        ):
            recorded = None
        elif replace(acceptance, recorded_at=request.recorded_at, cursor=0) == request:
            recorded = acceptance
    return recorded


def _topics_to_accept(
    name: str, entry: Entry, acceptances: Sequence[Acceptance]
) -> tuple[str, ...]:
    """Return the topics to accept: topics accepted before, and topics that are open now."""
    accepted = in_force(acceptances).get(entry.window.end, {})
    topics = {*accepted, *open_topics(entry.evidence)}
    if topics:
        return tuple(sorted(topics))
    faults = [alarm.sentence for alarm in alarms(entry.evidence) if alarm.kind in DISTRUSTED]
    if faults:
        raise DeclarationError(
            f"nothing in the data of {entry.window.text} can be accepted; "
            f"gates and sources reported the fault: {faults[0]}",
            where=f"monitor {name}",
            fix="headrace gate approve, a corrected delivery, or headrace monitor ack "
            f"{day_text(entry.window.first)}",
        )
    raise DeclarationError(
        f"{entry.window.text} has no data fault that could be accepted",
        where=f"monitor {name}",
        fix=f"headrace monitor explain {day_text(entry.window.first)}",
    )


def _topics_to_withdraw(
    name: str, entry: Entry, acceptances: Sequence[Acceptance]
) -> tuple[str, ...]:
    """Return the accepted topics of the window, or the topics of its last withdrawal."""
    if not acceptances:
        raise DeclarationError(
            f"nothing of {entry.window.text} was accepted",
            where=f"monitor {name}",
            fix="headrace monitor status",
        )
    accepted = in_force(acceptances).get(entry.window.end)
    return tuple(sorted(accepted)) if accepted else acceptances[-1].about
