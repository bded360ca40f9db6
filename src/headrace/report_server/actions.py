"""Decisions on a report page: what the commands call, in the name of the user of this machine.

A page acts only where the request can come from nobody else: the server listens on a loopback
address, the peer is one, no proxy forwarded it, the page was asked for under a loopback name (so
that no other site can lend its name to this machine), and a form carries the secret of this
process. Principals are not verified; until they are, everything else is read-only.
"""

import ipaddress
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from headrace.core.batch_actions import BATCH_ACTIONS
from headrace.core.errors import DeclarationError, RefusedError
from headrace.core.home import Home
from headrace.core.permissions import local_user
from headrace.lake.table import Table
from headrace.operations import batch_actions, monitor_accept, monitor_acknowledge
from headrace.pipeline.definition import Pipeline
from headrace.reports.batch.action_form import BUTTONS, MONITOR_ACTIONS, Form

# A proxy adds at least one of them; who is behind it is unknown.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
READ_ONLY = "this page is read-only"
# Called with the table and what the action returned, once an action was taken.
Listener = Callable[[str, Mapping[str, Any]], None]


def nobody(table: str, decision: Mapping[str, Any]) -> None:
    """Listener of a server beside which nothing else shows decisions."""
    del table, decision


@dataclass(frozen=True)
class Caller:
    """The origin of a request, as the server saw it.

    Attributes:
        peer: address of the other end of the connection.
        headers: of the request, by their names in small letters.
    """

    peer: str
    headers: Mapping[str, str]

    @property
    def name(self) -> str:
        """The name under which the server was asked; "" if it cannot be read."""
        return host_name(self.headers.get("host", ""))


@dataclass(frozen=True)
class Acting:
    """Permission of a server to act, made once a process.

    Attributes:
        listener: called after every action.
        token: the secret that every form of this process carries.
    """

    listener: Listener = nobody
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    def form(self, problem: str = "", fix: str = "", reason: str = "") -> Form:
        return Form(self.token, local_user(), problem, fix, reason)


def objection(caller: Caller) -> str:
    """The reason why a request may only read; "" if it may act."""
    if not is_loopback(caller.peer):
        return f"{READ_ONLY}: it was asked for from {caller.peer}, not from this machine"
    if any(caller.headers.get(name) for name in _FORWARDED):
        return f"{READ_ONLY}: a proxy forwarded the request, and who is behind it is not verified"
    if not is_loopback(caller.name):
        return f"{READ_ONLY}: it was asked for as {caller.name}, which is not a loopback name"
    return ""


def form_objection(caller: Caller, token: str, form: Mapping[str, str]) -> str:
    """The reason why a form is refused; "" if it came from a page of this process."""
    if why := objection(caller):
        return why
    host, origin = caller.headers.get("host", ""), caller.headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        return f"the form was sent from {origin}, not from this page"
    if caller.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return "the form was sent from another site"
    if not secrets.compare_digest(form.get("token", "").encode(), token.encode()):
        return "the form is from a server that has ended since: load the page again"
    return ""


def is_loopback(host: str) -> bool:
    """Return True if the name or address can mean this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """The name in a Host header, without its port; "" if it cannot be read."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def act_on_batch(
    acting: Acting, home: Home, table: Table, batch: str, form: Mapping[str, str]
) -> None:
    """Take the action of a form on a batch, as `headrace gate` would.

    Raises:
        DeclarationError: no such action, no reason, or no such batch.
        RefusedError: the policy or the state of the batch does not admit it; that is on record.
    """
    action, reason = _requested_action(form, BUTTONS)
    expires = form.get("expires", "").strip() if BATCH_ACTIONS[action].expires != "never" else ""
    decision = batch_actions.perform(
        action,
        home,
        table,
        batch,
        principal=local_user(),
        reason=reason,
        expires=expires or None,
    )
    acting.listener(table.name, decision)
    if remaining := decision.get("incomplete"):
        raise RefusedError(
            "recorded, and not yet in force everywhere",
            where=f"table {table.name}",
            fix="; ".join(remaining),
        )


def act_on_monitor(home: Home, pipeline: Pipeline, form: Mapping[str, str]) -> None:
    """Acknowledge a window, or accept its data, as `headrace monitor` would."""
    action, reason = _requested_action(form, MONITOR_ACTIONS)
    act = monitor_acknowledge.acknowledge if action == "ack" else monitor_accept.accept
    act(pipeline, home, form.get(f"{action}-day", ""), principal=local_user(), reason=reason)


def _requested_action(form: Mapping[str, str], allowed: tuple[str, ...]) -> tuple[str, str]:
    action, reason = form.get("action", ""), form.get("reason", "").strip()
    if action not in allowed:
        raise DeclarationError("no action was chosen", fix=f"one of {', '.join(allowed)}")
    if not reason:
        raise DeclarationError("a reason is missing", fix="say why; it is recorded for good")
    return action, reason
