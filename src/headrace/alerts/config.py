"""`alerts.yaml` at the project's root: who is notified, which verdicts don't alert, and mutes.

    version: 1
    routes:
      flights-data@example.com:              # an owner, as in the contracts
        - ${FLIGHTS_PAGER}                   # an environment variable that holds the address
      "*":                                   # every other owner
        - ${DATA_TEAM_MAIL}
    quiet: [WARN, QUARANTINE]                # verdicts that don't alert
    wait: {missing: 12h, source: 2h}         # delay before an alert, by cause
    mute:
      - why: the source moves
        tables: [weather]
        from: 2026-12-24T18:00:00Z
        until: 2026-12-27T06:00:00Z
      - why: a hole in the data can wait for the morning
        verdicts: [MISSING]
        daily: 22:00-07:00
        days: [mon, tue, wed, thu, fri, sat, sun]
        zone: Europe/Berlin

Addresses contain passwords, so this file holds only the names of environment variables with them.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headrace.alerts.model import MISSING, SOURCE, VERDICTS, Condition
from headrace.alerts.mutes import AlertMute, read_mute
from headrace.core.clock import HOUR, duration, duration_text
from headrace.core.declarations.strict_yaml import Key, Keys, Node, choice, read_document
from headrace.core.errors import DeclarationError
from headrace.core.home import project_root

FILE = "alerts.yaml"
VERSIONS = (1,)
QUIET = frozenset({"WARN", "QUARANTINE"})
# A day's data arrives some time after the day ends, and most outages end by themselves.
WAIT = {MISSING: 12 * HOUR, SOURCE: 2 * HOUR}
ANYBODY = "*"
CONFIG = Keys((
    Key("version", choice(VERSIONS), "Version of the format.", required=True),
    Key("routes", "mapping from owner to list of `${NAME}`",
        "Environment variables with the addresses of an owner. Owners are the `team.name` of "
        f"contracts; `{ANYBODY}` is every other owner.", default="none: no alerts are sent"),
    Key("quiet", f"list of {choice(VERDICTS)}", "Verdicts that do not alert.",
        default=f"`[{', '.join(sorted(QUIET))}]`"),
    Key("wait", "mapping", "Delay before an alert, for causes that often end by themselves."),
    Key("mute", "list of mutes", "Periods in which messages wait.", default="none"),
))  # fmt: skip
WAITS = Keys((
    Key(MISSING, "duration",
        "Delay, from the first check after the day (UTC) of a missing partition.",
        default=f"`{duration_text(WAIT[MISSING])}`"),
    Key(SOURCE, "duration", "Delay, from the first failed attempt to read a source.",
        default=f"`{duration_text(WAIT[SOURCE])}`"),
))  # fmt: skip
_NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class Config:
    """Content of `alerts.yaml`. `path` is None without a file: then nobody is notified.

    Attributes:
        routes: owner -> names of the environment variables that hold their addresses.
        quiet: verdicts that don't alert.
        wait: cause -> microseconds from the opening of an alert to its message. An alert opens at
            the first update after the day (UTC) of a missing partition, or at the first failed
            attempt to read a source.
        mutes: periods in which messages wait.
    """

    routes: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    quiet: frozenset[str] = QUIET
    wait: Mapping[str, int] = field(default_factory=lambda: dict(WAIT), hash=False)
    mutes: tuple[AlertMute, ...] = ()
    path: Path | None = None

    def targets(self, owner: str) -> tuple[str, ...]:
        """Return the variables that hold the addresses of an owner; by default those of `*`."""
        return self.routes.get(owner, self.routes.get(ANYBODY, ()))

    def muted_until(self, condition: Condition, now: int) -> int | None:
        """Return the end (microseconds UTC) of the mute that covers the condition now, if any."""
        ends = [end for mute in self.mutes if (end := mute.until(condition, now)) is not None]
        return max(ends, default=None)


def address(name: str) -> str:
    """Return the address in an environment variable, or in `.env` at the project's root.

    Raises:
        DeclarationError: it is not set.
    """
    target = (os.environ.get(name) or _dotenv(name)).strip()
    if not target:
        raise DeclarationError(
            f"the environment variable {name} is not set",
            where=str(alerts_path()),
            fix=f"{name}=mailto://... in the environment, or in .env beside alerts.yaml",
        )
    return target


def _dotenv(name: str) -> str:
    """Read a variable from `.env`, which Dagster reads for its own processes only."""
    file = project_root() / ".env"
    lines = file.read_text().splitlines() if file.exists() else []
    pairs = [line.partition("=") for line in lines if not line.lstrip().startswith("#")]
    matches = [text.strip() for key, _, text in pairs if key.strip() == name]
    return matches[-1].strip("'\"") if matches else ""


def alerts_path() -> Path:
    """`HEADRACE_ALERTS`, or `alerts.yaml` at the project's root."""
    return Path(os.environ.get("HEADRACE_ALERTS") or project_root() / FILE).absolute()


def load_config(path: Path | None = None) -> Config:
    """Read the configuration in `path` (default: `alerts_path()`); without a file, no routes.

    Raises:
        DeclarationError: the file is unreadable, has an unknown version or key, or contains an
            address instead of the name of the variable that holds it.
    """
    file = path or alerts_path()
    if not file.exists():
        return Config()
    top = read_document(file).entries(CONFIG)
    top["version"].choose(VERSIONS)
    quiet = (
        [verdict.choose(VERDICTS) for verdict in top["quiet"].items()] if "quiet" in top else QUIET
    )
    mutes = [read_mute(mute) for mute in top["mute"].items()] if _has_content(top, "mute") else []
    return Config(
        routes=_routes(top["routes"]) if _has_content(top, "routes") else {},
        quiet=frozenset(quiet),
        wait={**WAIT, **(_waits(top["wait"]) if _has_content(top, "wait") else {})},
        mutes=tuple(mutes),
        path=file,
    )


def _has_content(top: Mapping[str, Node], key: str) -> bool:
    """Return True for a key with content, False if its entries are all commented out."""
    return key in top and top[key].value is not None


def _routes(node: Node) -> dict[str, tuple[str, ...]]:
    owners = list(node.value) if isinstance(node.value, dict) else []
    return {
        owner: tuple(_variable(variable) for variable in entry.items())
        for owner, entry in node.mapping(owners).items()
    }


def _waits(node: Node) -> dict[str, int]:
    return {cause: _duration(entry) for cause, entry in node.entries(WAITS).items()}


def _duration(node: Node) -> int:
    try:
        wait = duration(node.text())
    except DeclarationError as error:
        raise node.error(error.what, fix=error.fix) from None
    if wait < 0:
        raise node.error("the wait is negative", fix="write 0s to alert at once")
    return wait


def _variable(node: Node) -> str:
    match = _NAME.fullmatch(node.text().strip())
    if match is None:
        # The text is not repeated: it may hold a password.
        raise node.error(
            "this is not ${NAME}; addresses contain secrets and must not be written into a file",
            fix="put the address into an environment variable, and its name here: ${ALERTS_MAIL}",
        )
    return match[1]
