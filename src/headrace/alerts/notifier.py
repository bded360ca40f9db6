"""Apprise behind a small door: an address, a text, and whether it was taken.

Addresses are Apprise's (mailto://, slack://, ...); an https:// address that no service knows is a
webhook, which gets JSON. No address appears in an error or a log: it holds the password.
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
_SECRET = 4  # characters; shorter parts of an address would blot out the whole sentence


class SendError(HeadraceError):
    """A notifier did not take a message; it may be tried again."""


def notify(address: str, text: Text) -> None:
    """Send one message.

    Raises:
        SendError: it was not taken.
        DeclarationError: no notifier knows the address, or `headrace[alerts]` is not installed.
    """
    apprise = _apprise()
    # Nothing is kept on disk, and one message goes through one thread.
    asset = apprise.AppriseAsset(
        app_id="Headrace",
        app_desc="Headrace",
        storage_mode=apprise.PersistentStoreMode.MEMORY,
        async_mode=False,
    )
    known = _with_ids(_known(apprise, address), text)
    with _overheard() as said:
        plugin = apprise.Apprise.instantiate(known, asset=asset)
        if plugin is None:
            raise DeclarationError(
                "no notifier knows this address" + _told(said, address),
                fix="write it as Apprise does: mailto://user:password@host, json://host/path, ...",
            )
        taken = plugin.notify(
            title=text.title, body=text.body, notify_type=_kind(text), body_format="text"
        )
    if not taken:
        raise SendError("the notifier did not take the message" + _told(said, address))


def _apprise() -> Any:  # noqa: ANN401 - Apprise carries no types
    try:
        with warnings.catch_warnings():
            # Its plugins, loaded by the first address, import a module that Python 3.13 drops.
            warnings.simplefilter("ignore", DeprecationWarning)
            import apprise

            apprise.Apprise.instantiate("json://localhost")
    except ImportError as error:
        raise DeclarationError(
            "alerts are sent by Apprise, which is not installed",
            fix="pip install 'headrace[alerts]'",
        ) from error
    return apprise


def _known(apprise: Any, address: str) -> str:  # noqa: ANN401
    """The address as Apprise spells it; a plain web address is a webhook."""
    scheme, _, rest = address.partition("://")
    if scheme.lower() not in _WEBHOOK:
        return address
    with _overheard():
        if apprise.Apprise.instantiate(address) is not None:
            return address
    return f"{_WEBHOOK[scheme.lower()]}://{rest}"


def _with_ids(address: str, text: Text) -> str:
    """The ids where the channel has a place for them; they are in the text as well.

    Mails of one alert form one thread: each refers to the same message, that nobody ever sent.
    """
    scheme = address.partition("://")[0].lower()
    headers = {"X-Headrace-Alert": " ".join(text.ids), "X-Headrace-Kind": text.facts["kind"]}
    if scheme in _MAIL:
        headers["References"] = f"<{text.ids[0]}@alerts.headrace>"
        more = [f"+{name}={quote(value, safe='')}" for name, value in headers.items()]
    elif scheme in _JSON:
        more = [f"+{name}={quote(value, safe='')}" for name, value in headers.items()]
        more += [f":{name}={quote(str(value), safe='')}" for name, value in text.facts.items()]
    else:
        return address
    return address + ("&" if "?" in address else "?") + "&".join(more)


def _kind(text: Text) -> str:
    if text.facts["kind"] == "closed":
        return "success"
    return {"ERROR": "failure", "BLOCK": "failure"}.get(text.verdict, "warning")


@contextmanager
def _overheard() -> Iterator[list[str]]:
    """What Apprise says meanwhile; it tells why only to its log."""
    said: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger, ear = logging.getLogger("apprise"), Ear(logging.WARNING)
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(ear)
    try:
        yield said
    finally:
        logger.removeHandler(ear)
        logger.propagate = propagate


def _told(said: list[str], address: str) -> str:
    told = " ".join(" ".join(said[-2:]).split())[:200]
    return f": {_without(told, address)}" if told else ""


def _without(told: str, address: str) -> str:
    """The words without anything that stands in the address."""
    parts = {unquote(part) for part in re.split(r"[/:@?&=+]+", address.partition("://")[2])}
    for part in sorted((p for p in parts if len(p) >= _SECRET), key=len, reverse=True):
        told = told.replace(part, "***")
    return told
