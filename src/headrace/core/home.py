"""Where state lives: the folders under `HEADRACE_HOME`, and the version of their format."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from headrace.core.clock import CLOCK
from headrace.core.errors import DeclarationError, StateError
from headrace.core.files import write_json

FORMAT = 1
# {from version: what brings the folder to the next one}; run in order, each idempotent.
MIGRATIONS: dict[int, Callable[[Path], None]] = {}


@dataclass(frozen=True)
class Home:
    """Paths of a project's state. Creating a `Home` makes the folder and checks its format."""

    root: Path

    @classmethod
    def find(cls, root: Path | str | None = None) -> "Home":
        """`root`, else `HEADRACE_HOME`, else `.headrace` beside the nearest pyproject.toml."""
        return cls(Path(root).absolute() if root else default_root())

    def __post_init__(self) -> None:
        _refuse_foreign_clock(self.root)
        marker = self.root / "format.json"
        if not marker.exists():
            write_json(marker, {"format": FORMAT})
            return
        found = int(json.loads(marker.read_text())["format"])
        if found > FORMAT:
            raise StateError(
                f"this state has format {found}, this Headrace reads up to {FORMAT}",
                where=str(self.root),
                fix="upgrade headrace, or point HEADRACE_HOME at another folder",
            )
        for version in range(found, FORMAT):
            MIGRATIONS[version](self.root)
            write_json(marker, {"format": version + 1})

    @property
    def deliveries(self) -> Path:
        """What the reference sources deliver: not state, a stand-in for the world outside."""
        return self.root / "deliveries"

    @property
    def ledger(self) -> Path:
        """SQLite: ingest ledger, verdicts, decisions."""
        return self.root / "ledger.sqlite"

    @property
    def alerts(self) -> Path:
        """SQLite: what was alerted, to whom it was sent, who has seen it."""
        return self.root / "alerts.sqlite"

    @property
    def batch_profiles(self) -> Path:
        """SQLite: a profile of each batch, which later ones are held against."""
        return self.root / "profiles.sqlite"

    @property
    def landing(self) -> Path:
        """Delivered bytes as they came, by content hash."""
        return self.root / "landing"

    @property
    def sources(self) -> Path:
        """Hints of sources that read on; they only spare work, and may be deleted."""
        return self.root / "sources"

    @property
    def staged(self) -> Path:
        return self.root / "staged"

    @property
    def quarantine(self) -> Path:
        return self.root / "quarantine"

    @property
    def warehouse(self) -> Path:
        """Iceberg tables and their catalog."""
        return self.root / "warehouse"

    @property
    def store(self) -> Path | str:
        """Dataset releases; `HEADRACE_STORE` moves it, to `s3://bucket/prefix` too."""
        return named_store() or (self.root / "store").absolute()

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def profiles(self) -> Path:
        return self.root / "profiles"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def dagster(self) -> Path:
        return self.root / "dagster"


def _refuse_foreign_clock(root: Path) -> None:
    """Refuse virtual time in a home that does not live in it, and a store outside of its home.

    Raises:
        StateError: `HEADRACE_CLOCK` is set, and this is another home, or a store elsewhere.
    """
    clock = os.environ.get(CLOCK)
    if clock is None:
        return
    own = Path(clock).absolute().parent.resolve()
    if root.absolute().resolve() != own:
        what, fix = f"{CLOCK} is set, and this is not its home", f"unset {CLOCK}"
    elif os.environ.get("HEADRACE_STORE"):
        what, fix = "a home in virtual time keeps its releases to itself", "unset HEADRACE_STORE"
    else:
        return
    raise StateError(what, where=str(root), fix=fix)


def default_root() -> Path:
    """Return the folder of the home unless a caller names another; nothing is created."""
    if named := os.environ.get("HEADRACE_HOME"):
        return _checked("HEADRACE_HOME", Path(named).absolute())
    return (project_root() / ".headrace").absolute()


def named_store() -> Path | str | None:
    """The store that `HEADRACE_STORE` names; None if it names none."""
    named = os.environ.get("HEADRACE_STORE")
    if not named or named.startswith("s3://"):
        return named or None
    return _checked("HEADRACE_STORE", Path(named).absolute())


# A command only reads places that are there, or may create one; None is a caller of the library.
Use = Literal["read", "create"]
_USE: ContextVar[Use | None] = ContextVar("headrace_use_of_places", default=None)


@contextmanager
def places_for(use: Use) -> Iterator[None]:
    """Within it, a variable that names a folder which is not there is an error.

    To "create" one its parent must be there: a longer path that is missing is a slip, or a disk
    that is not mounted.
    """
    token = _USE.set(use)
    try:
        yield
    finally:
        _USE.reset(token)


def _checked(variable: str, folder: Path) -> Path:
    use = _USE.get()
    if use is None or folder.is_dir() or (use == "create" and folder.parent.is_dir()):
        return folder
    missing = folder if use == "read" else folder.parent
    raise DeclarationError(
        f"{variable} names {folder}, and there is no folder {missing}",
        where=f"environment variable {variable}",
        fix=f"correct or unset {variable}, or create the folder: mkdir -p {folder}",
    )


def project_root(start: Path | None = None) -> Path:
    """Return the nearest folder upwards with a pyproject.toml, else the current folder."""
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").exists():
            return folder
    return here
