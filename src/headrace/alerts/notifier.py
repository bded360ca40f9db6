"""Adapter for Apprise: send a text to an address.

Addresses have Apprise's form (mailto://, slack://, ...). An https:// address that Apprise does not
recognise is a webhook, which receives JSON. No address appears in an error or a log, because it may
contain a password.
"""

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, unquote

from headrace.alerts.message import Text
from headrace.core.errors import DeclarationError, HeadraceError

Notify = Callable[[str, Text], None]
_WEBHOOK = {"http": "json", "https": "jsons"}
_MAIL = {"mailto", "mailtos"}
_JSON = {"json", "jsons", "form", "forms", "xml", "xmls"}
_SECRET = 4  # characters; hiding shorter parts of an address would make the error unreadable


class SendError(HeadraceError):
    """Error of a notifier that did not accept a message; it may be retried."""


def notify(address: str, text: Text) -> None:
    """Send one message.

    Raises:
        SendError: the notifier did not accept it.
        DeclarationError: no notifier accepts the address, or `headrace[alerts]` is not installed.
    """
    apprise = _apprise()
    # Store nothing on disk; one message needs only one thread.
    asset = apprise.AppriseAsset(
        app_id="Headrace",
        app_desc="Headrace",
        storage_mode=apprise.PersistentStoreMode.MEMORY,
        async_mode=False,
    )
    target = _with_ids(_canonical_address(apprise, address), text)
    with _apprise_log() as log_lines:
        plugin = apprise.Apprise.instantiate(target, asset=asset)
        if plugin is None:
            raise DeclarationError(
                "no notifier accepts this address" + _reason(log_lines, address),
                fix="write it as Apprise does: mailto://user:password@host, json://host/path, ...",
            )
        accepted = plugin.notify(
            title=text.title, body=text.body, notify_type=_kind(text), body_format="text"
        )
    if not accepted:
        raise SendError("the notifier did not accept the message" + _reason(log_lines, address))


def _apprise() -> Any:  # noqa: ANN401 - Apprise carries no types
    try:
        with warnings.catch_warnings():
            # The first address loads the plugins, which import a module that Python 3.13 removed.
            warnings.simplefilter("ignore", DeprecationWarning)
            import apprise

            apprise.Apprise.instantiate("json://localhost")
    except ImportError as error:
        raise DeclarationError(
            "alerts are sent by Apprise, which is not installed",
            fix="pip install 'headrace[alerts]'",
        ) from error
    return apprise


def _canonical_address(apprise: Any, address: str) -> str:  # noqa: ANN401
    """Return the address in Apprise's form; an unknown web address becomes a webhook."""
    scheme, _, rest = address.partition("://")
    if scheme.lower() not in _WEBHOOK:
        return address
    with _apprise_log():
        if apprise.Apprise.instantiate(address) is not None:
            return address
    return f"{_WEBHOOK[scheme.lower()]}://{rest}"


def _with_ids(address: str, text: Text) -> str:
    """Add the alert ids to the address if the channel has fields for them (mail, webhooks).

    All mails of one alert refer to the same (never sent) message, so that they form one thread.
    """
    scheme = address.partition("://")[0].lower()
    headers = {"X-Headrace-Alert": " ".join(text.ids), "X-Headrace-Kind": text.facts["kind"]}
    if scheme in _MAIL:
        headers["References"] = f"<{text.ids[0]}@alerts.headrace>"
        parameters = [f"+{name}={quote(value, safe='')}" for name, value in headers.items()]
    elif scheme in _JSON:
        parameters = [f"+{name}={quote(value, safe='')}" for name, value in headers.items()]
        parameters += [
            f":{name}={quote(str(value), safe='')}" for name, value in text.facts.items()
        ]
    else:
        return address
    return address + ("&" if "?" in address else "?") + "&".join(parameters)


def _kind(text: Text) -> str:
    if text.facts["kind"] == "closed":
        return "success"
    return {"ERROR": "failure", "BLOCK": "failure"}.get(text.verdict, "warning")


@contextmanager
def _apprise_log() -> Iterator[list[str]]:
    """Capture what Apprise logs: its errors appear only there."""
    lines: list[str] = []

    class LogCapture(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger, capture = logging.getLogger("apprise"), LogCapture(logging.WARNING)
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(capture)
    try:
        yield lines
    finally:
        logger.removeHandler(capture)
        logger.propagate = propagate


def _reason(log_lines: list[str], address: str) -> str:
    reason = " ".join(" ".join(log_lines[-2:]).split())[:200]
    return f": {_redacted(reason, address)}" if reason else ""


def _redacted(text: str, address: str) -> str:
    """Hide every part of the address in the text."""
    parts = {unquote(part) for part in re.split(r"[/:@?&=+]+", address.partition("://")[2])}
    for part in sorted((p for p in parts if len(p) >= _SECRET), key=len, reverse=True):
        text = text.replace(part, "***")
    return text
