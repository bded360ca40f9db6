"""Delivery of due messages: claim, send, mark; failures are retried with growing delays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headrace.alerts.config import Config, address
from headrace.alerts.message import message
from headrace.alerts.model import CLOSED, OPENED
from headrace.alerts.notifier import Notify, notify
from headrace.alerts.store import AlertStore, Message, backoff
from headrace.core.errors import HeadraceError

# Up to this many messages are sent one by one; more are combined into one with a list.
SINGLES = 3


@dataclass
class DeliveryOutcome:
    """Number of messages delivered, and the error of each target that failed."""

    messages: int = 0
    failed: dict[str, str] | None = None


def deliver(
    store: AlertStore,
    config: Config,
    clock: Callable[[], int],
    send: Notify = notify,
) -> DeliveryOutcome:
    """Send all due messages. If one target fails, the others are not delayed."""
    outcome = DeliveryOutcome(failed={})
    for target in store.due_targets(clock()):
        claimed = _unmuted(store, config, store.claim(target, clock()), clock())
        for group in _groups(claimed):
            if error := _send(store, target, group, clock, send):
                assert outcome.failed is not None
                outcome.failed[target] = error
            else:
                outcome.messages += 1
    return outcome


def _unmuted(
    store: AlertStore, config: Config, claimed: Sequence[Message], now: int
) -> list[Message]:
    """Return the messages that no mute covers; postpone the others until it ends."""
    unmuted = []
    for message_ in claimed:
        until = (
            None if message_.kind == CLOSED else config.muted_until(message_.alert.condition, now)
        )
        if until is None:
            unmuted.append(message_)
        else:
            store.postpone([message_], until)
    return unmuted


def _groups(claimed: Sequence[Message]) -> list[list[Message]]:
    """Group messages by kind; up to `SINGLES` messages of a kind are sent one by one."""
    groups: list[list[Message]] = []
    for kind in (OPENED, CLOSED):
        messages = [message_ for message_ in claimed if message_.kind == kind]
        groups += [[message_] for message_ in messages] if len(messages) <= SINGLES else [messages]
    return [group for group in groups if group]


def _send(
    store: AlertStore, target: str, group: Sequence[Message], clock: Callable[[], int], send: Notify
) -> str:
    """Send one group; return the error, "" if it was delivered."""
    try:
        send(address(target), message([message_.alert for message_ in group], group[0].kind))
    except HeadraceError as error:
        waits = max(backoff(message_.attempts) for message_ in group)
        store.postpone(group, clock() + waits, error.what)
        return error.what
    store.sent(group, clock())
    return ""
