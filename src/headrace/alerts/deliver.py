"""Send what waits: claim, send, mark. A failure is tried again, later and later."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headrace.alerts.config import Config, address
from headrace.alerts.message import message
from headrace.alerts.model import CLOSED, OPENED
from headrace.alerts.notifier import Notify, notify
from headrace.alerts.store import AlertStore, Message, backoff
from headrace.core.errors import HeadraceError

# So many messages of their own in one go; what is more comes as one, with a list.
SINGLES = 3


@dataclass
class Sent:
    """Messages that were taken, and what the others died of, by target."""

    messages: int = 0
    failed: dict[str, str] | None = None


def deliver(
    store: AlertStore,
    config: Config,
    clock: Callable[[], int],
    send: Notify = notify,
) -> Sent:
    """Send everything that is due. One target's failure does not hold up another's."""
    done = Sent(failed={})
    for target in store.due_targets(clock()):
        claimed = _heard(store, config, store.claim(target, clock()), clock())
        for group in _groups(claimed):
            if error := _send(store, target, group, clock, send):
                assert done.failed is not None
                done.failed[target] = error
            else:
                done.messages += 1
    return done


def _heard(
    store: AlertStore, config: Config, claimed: Sequence[Message], now: int
) -> list[Message]:
    """Those that no mute holds back; the others wait until it ends."""
    free = []
    for one in claimed:
        until = None if one.kind == CLOSED else config.muted_until(one.alert.condition, now)
        if until is None:
            free.append(one)
        else:
            store.postpone([one], until)
    return free


def _groups(claimed: Sequence[Message]) -> list[list[Message]]:
    """Openings and closings apart; each by itself as long as they are few."""
    groups: list[list[Message]] = []
    for kind in (OPENED, CLOSED):
        found = [one for one in claimed if one.kind == kind]
        groups += [[one] for one in found] if len(found) <= SINGLES else [found]
    return [group for group in groups if group]


def _send(
    store: AlertStore, target: str, group: Sequence[Message], clock: Callable[[], int], send: Notify
) -> str:
    """Why it was not sent; "" if it was."""
    try:
        send(address(target), message([one.alert for one in group], group[0].kind))
    except HeadraceError as error:
        waits = max(backoff(one.attempts) for one in group)
        store.postpone(group, clock() + waits, error.what)
        return error.what
    store.sent(group, clock())
    return ""
