"""Test message, to show that a target receives alerts."""

from typing import Any

from headrace.alerts.config import Config, address, alerts_path, load_config
from headrace.alerts.message import Text
from headrace.alerts.notifier import Notify, notify
from headrace.core.clock import iso, now_us
from headrace.core.errors import DeclarationError, HeadraceError


def send_test_messages(
    owner: str | None = None, *, config: Config | None = None, send: Notify = notify
) -> list[dict[str, Any]]:
    """Send a test message to each target; return which ones accepted it, and errors.

    Raises:
        DeclarationError: no route exists, or none for this owner.
    """
    config = config or load_config()
    routes = config.routes if owner is None else {owner: config.targets(owner)}
    pairs = [(name, target) for name, targets in routes.items() for target in targets]
    if not pairs:
        raise DeclarationError(
            f"no route for {owner}" if owner else "no routes are configured",
            where=str(config.path or alerts_path()),
            fix="routes: {owner: [${NAME}]} in alerts.yaml, with the address in that variable",
        )
    return [_try(name, target, send) for name, target in pairs]


def _try(owner: str, target: str, send: Notify) -> dict[str, Any]:
    moment = iso(now_us() // 1_000_000 * 1_000_000)
    facts = {"alert": "test", "kind": "test"}
    text = Text(
        f"Headrace test for {owner}",
        f"This is a test: alerts for {owner} arrive here. {moment}",
        ("test",),
        "WARN",
        facts,
    )
    try:
        send(address(target), text)
    except HeadraceError as error:
        return {"owner": owner, "target": target, "sent": False, "error": error.what}
    return {"owner": owner, "target": target, "sent": True, "error": ""}
