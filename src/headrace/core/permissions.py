"""Permissions for actions on batches: `policy.yaml` at the project's root, read strictly.

    version: 1
    principals:
      local-user:                            # the user who runs Headrace on this machine
        actions: all
      ana:
        actions: [release, quarantine, reject, rerun, mute, unmute, ack]
        tables: all                          # or a list of tables
      night-shift:
        actions: [ack, rerun]
        tables: [observations]

Principals who are not listed are refused. `local-user` is the operating system's user who runs
Headrace; actions are recorded under that user's name. Without a file only that user may act.
Names are not authenticated: they are recorded as the caller gives them. The operating system, or
the orchestrator's login, must control write access to the home.
"""

import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headrace.core.batch_actions import BATCH_ACTIONS, OTHER_ACTIONS
from headrace.core.declarations.strict_yaml import Key, Keys, Node, choice, read_document
from headrace.core.errors import RefusedError
from headrace.core.home import project_root

FILE = "policy.yaml"
VERSIONS = (1,)
# Description of each action. `erase` and `retire` act on releases: for them, the tables of a grant
# are datasets.
ACTIONS = {**{name: action.does for name, action in BATCH_ACTIONS.items()}, **OTHER_ACTIONS}
ALL = "all"
LOCAL = "local-user"
POLICY = Keys((
    Key("version", choice(VERSIONS), "Version of the format.", required=True),
    Key("principals", "mapping from name to grant",
        "Who may act. A name that is not listed is refused; `local-user` is the operating "
        "system's user who runs Headrace.", required=True),
))  # fmt: skip
GRANT = Keys((
    Key("actions", f"`{ALL}`, or a list of actions", "Actions that the principal may take.",
        required=True),
    Key("tables", f"`{ALL}`, or a list of tables", "Tables on which they may be taken; datasets, "
        "for `erase` and `retire`.", default=f"`{ALL}`"),
    Key("description", "text", "Note for readers."),
))  # fmt: skip


@dataclass(frozen=True)
class Grant:
    """Actions and tables granted to one principal; `tables` is None for all tables."""

    actions: frozenset[str]
    tables: frozenset[str] | None = None


@dataclass(frozen=True)
class PermissionPolicy:
    """Grants by principal. `path` is None if there is no file."""

    grants: Mapping[str, Grant] = field(hash=False)
    path: Path | None = None

    def refusal(self, principal: str, action: str, table: str) -> str:
        """Return the reason to refuse the action; "" if it is allowed."""
        principal = recorded_name(principal)
        grant = self.grants.get(principal)
        if grant is None:
            return f"{principal} is not listed in the policy"
        if action not in grant.actions:
            return f"{principal} may not {action}"
        if grant.tables is not None and table not in grant.tables:
            return f"{principal} may not {action} on table {table}"
        return ""

    def check(self, principal: str, action: str, table: str) -> None:
        """Raise RefusedError if the action is not allowed. The caller records the refusal."""
        refusal = self.refusal(principal, action, table)
        if refusal:
            raise RefusedError(f"refused: {refusal}", where=self._where(), fix=self._fix(action))

    def _where(self) -> str:
        return str(self.path) if self.path else f"no {FILE}, so only the local user may act"

    def _fix(self, action: str) -> str:
        able = sorted(name for name, grant in self.grants.items() if action in grant.actions)
        colleagues = f"ask one of {', '.join(able)}, or " if able else ""
        return (
            f"{colleagues}list the allowed actions in {FILE} at the project's root; {LOCAL} there"
            f" means the user who runs Headrace on this machine, now {local_user()}"
        )


def policy_path() -> Path:
    """`HEADRACE_POLICY`, or `policy.yaml` at the project's root."""
    return Path(os.environ.get("HEADRACE_POLICY") or project_root() / FILE).absolute()


def load_policy(path: Path | None = None) -> PermissionPolicy:
    """Read the policy in `path` (default: `policy_path()`), or allow only the local user.

    Raises:
        DeclarationError: the file is unreadable, or has an unknown version, key or action.
    """
    file = path or policy_path()
    if not file.exists():
        return PermissionPolicy({local_user(): Grant(frozenset(ACTIONS))})
    top = read_document(file).entries(POLICY)
    top["version"].choose(VERSIONS)
    people = top["principals"]
    names = list(people.value) if isinstance(people.value, dict) else []
    grants = {name: _grant(node) for name, node in people.mapping(names).items()}
    if LOCAL in grants:
        # The user's name differs from machine to machine, so the file cannot contain it.
        me, grant = local_user(), grants.pop(LOCAL)
        if me in grants:
            raise people.error(f"{me} is listed by name and as {LOCAL}", fix="keep one of them")
        grants[me] = grant
    return PermissionPolicy(grants, file)


def _grant(node: Node) -> Grant:
    entry = node.entries(GRANT)
    actions = entry["actions"]
    granted = ACTIONS if actions.value == ALL else [a.choose(ACTIONS) for a in actions.items()]
    tables = entry.get("tables")
    if tables is None or tables.value == ALL:
        return Grant(frozenset(granted))
    return Grant(frozenset(granted), frozenset(table.text() for table in tables.items()))


def local_user() -> str:
    """Return the name of the operating system's user; `uid-<number>` if it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def recorded_name(principal: str) -> str:
    """Return the name for the audit trail: `local-user` becomes the operating system's user."""
    return local_user() if principal == LOCAL else principal


def acting(principal: str | None = None) -> str:
    """Return the acting principal: `principal`, `HEADRACE_PRINCIPAL`, or the local user."""
    return recorded_name(principal or os.environ.get("HEADRACE_PRINCIPAL") or LOCAL)
