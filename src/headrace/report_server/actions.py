"""Decisions on a report page: the same calls as the commands, as the user of this machine.

The server does not verify principals. So it accepts an action only if the request surely comes from
this machine: the server listens on a loopback address, the peer has one, no proxy forwarded the
request, the Host header is a loopback name (against DNS rebinding), and the form has the secret of
this process. Otherwise pages are read-only.
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

# Headers of which a proxy sets at least one; the client behind a proxy is unknown.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
READ_ONLY = "this page is read-only"
# Function that is called after an action, with the table and the return value of the action.
Listener = Callable[[str, Mapping[str, Any]], None]


def nobody(table: str, decision: Mapping[str, Any]) -> None:
    """Do nothing: the default listener."""
    del table, decision


@dataclass(frozen=True)
class Caller:
    """Origin of a request.

    Attributes:
        peer: network address of the client.
        headers: headers of the request, by lower-case name.
    """

    peer: str
    headers: Mapping[str, str]

    @property
    def name(self) -> str:
        """Host name in the Host header; "" if it is malformed."""
        return host_name(self.headers.get("host", ""))


@dataclass(frozen=True)
class Acting:
    """Permission of a server to accept actions, created once per process.

    Attributes:
        listener: called after every action.
        token: secret that every form of this process contains.
    """

    listener: Listener = nobody
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    def form(self, problem: str = "", fix: str = "", reason: str = "") -> Form:
        return Form(self.token, local_user(), problem, fix, reason)


def objection(caller: Caller) -> str:
    """Return the reason why a request may only read; "" if it may act."""
    if not is_loopback(caller.peer):
        return f"{READ_ONLY}: the request comes from {caller.peer}, not from this machine"
    if any(caller.headers.get(name) for name in _FORWARDED):
        return f"{READ_ONLY}: a proxy forwarded the request, so its sender is unknown"
    if not is_loopback(caller.name):
        return f"{READ_ONLY}: the Host header is {caller.name}, which is not a loopback name"
    return ""


def form_objection(caller: Caller, token: str, form: Mapping[str, str]) -> str:
    """Return the reason why a form is refused; "" if it comes from a page of this process."""
    if why := objection(caller):
        return why
    host, origin = caller.headers.get("host", ""), caller.headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        return f"the form was sent from {origin}, not from this page"
    if caller.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return "the form was sent from another site"
    if not secrets.compare_digest(form.get("token", "").encode(), token.encode()):
        return "the form is from an earlier server process: reload the page"
    return ""


def is_loopback(host: str) -> bool:
    """Return True if the name or address is a loopback one, so that it means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """Return the name in a Host header, without the port; "" if it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def act_on_batch(
    acting: Acting, home: Home, table: Table, batch: str, form: Mapping[str, str]
) -> None:
    """Take the action of a form on a batch, like `headrace gate`.

    Raises:
        DeclarationError: there is no such action or batch, or the reason is missing.
        RefusedError: the policy or the state of the batch does not allow it; the refusal is
            recorded. Or the action is recorded, but not yet effective everywhere.
    """
    action, reason = _requested_action(form, BUTTONS)
    declared = BATCH_ACTIONS[action]
    expires = form.get("expires", "").strip() if declared.expires != "never" else ""
    right_until = form.get("right_until", "").strip() if declared.accepts else ""
    decision = batch_actions.perform(
        action,
        home,
        table,
        batch,
        principal=local_user(),
        reason=reason,
        expires=expires or None,
        right_until=right_until or None,
    )
    acting.listener(table.name, decision)
    if remaining := decision.get("incomplete"):
        raise RefusedError(
            "recorded, but not yet effective everywhere",
            where=f"table {table.name}",
            fix="; ".join(remaining),
        )


def act_on_monitor(home: Home, pipeline: Pipeline, form: Mapping[str, str]) -> None:
    """Acknowledge a window, or accept its data, like `headrace monitor`."""
    action, reason = _requested_action(form, MONITOR_ACTIONS)
    act = monitor_acknowledge.acknowledge if action == "ack" else monitor_accept.accept
    act(pipeline, home, form.get(f"{action}-day", ""), principal=local_user(), reason=reason)


def _requested_action(form: Mapping[str, str], allowed: tuple[str, ...]) -> tuple[str, str]:
    action, reason = form.get("action", ""), form.get("reason", "").strip()
    if action not in allowed:
        raise DeclarationError("no action was chosen", fix=f"choose {' or '.join(allowed)}")
    if not reason:
        raise DeclarationError(
            "a reason is missing", fix="give a reason; it is recorded permanently"
        )
    return action, reason
