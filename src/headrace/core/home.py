"""Home: the folders of state under `HEADRACE_HOME`, and the version of their format."""

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
# {version: function that upgrades a home to the next version}; run in order, each idempotent.
MIGRATIONS: dict[int, Callable[[Path], None]] = {}


@dataclass(frozen=True)
class Home:
    """Paths of a project's state. Creating a `Home` creates the folder and checks its format."""

    root: Path

    @classmethod
    def find(cls, root: Path | str | None = None) -> "Home":
        """Return the home at `root`, `HEADRACE_HOME`, or `.headrace` beside pyproject.toml."""
        return cls(Path(root).absolute() if root else default_root())

    def __post_init__(self) -> None:
        _refuse_foreign_clock(self.root)
        marker = self.root / "format.json"
        if not marker.exists():
            write_json(marker, {"format": FORMAT})
            return
        stored = int(json.loads(marker.read_text())["format"])
        if stored > FORMAT:
            raise StateError(
                f"this state has format {stored}, but this version of Headrace reads only up to"
                f" format {FORMAT}",
                where=str(self.root),
                fix="upgrade headrace, or point HEADRACE_HOME at another folder",
            )
        for version in range(stored, FORMAT):
            MIGRATIONS[version](self.root)
            write_json(marker, {"format": version + 1})

    @property
    def deliveries(self) -> Path:
        """Return the folder of deliveries for the demonstration's sources; not state."""
        return self.root / "deliveries"

    @property
    def ledger(self) -> Path:
        """Return the SQLite database of the ingest ledger, verdicts and decisions."""
        return self.root / "ledger.sqlite"

    @property
    def alerts(self) -> Path:
        """Return the SQLite database of alerts, their messages and acknowledgements."""
        return self.root / "alerts.sqlite"

    @property
    def batch_profiles(self) -> Path:
        """Return the SQLite database of batch profiles, with which later batches are compared."""
        return self.root / "profiles.sqlite"

    @property
    def landing(self) -> Path:
        """Return the folder of raw files as they were delivered, by content hash."""
        return self.root / "landing"

    @property
    def sources(self) -> Path:
        """Return the folder of incremental sources' read positions; a cache that may be deleted."""
        return self.root / "sources"

    @property
    def downloads(self) -> Path:
        """Return the folder of packages whose data Headrace is tested on; it may be deleted."""
        return self.root / "downloads"

    @property
    def staged(self) -> Path:
        return self.root / "staged"

    @property
    def quarantine(self) -> Path:
        return self.root / "quarantine"

    @property
    def warehouse(self) -> Path:
        """Return the folder of Iceberg tables and their catalog."""
        return self.root / "warehouse"

    @property
    def store(self) -> Path | str:
        """Return the store of dataset releases; `HEADRACE_STORE` sets another folder or S3 URL."""
        return configured_store() or (self.root / "store").absolute()

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
    """Refuse the virtual time of another home, and virtual time with a store outside the home.

    Raises:
        StateError: `HEADRACE_CLOCK` names a file of another home, or `HEADRACE_STORE` is set too.
    """
    clock = os.environ.get(CLOCK)
    if clock is None:
        return
    clock_home = Path(clock).absolute().parent.resolve()
    if root.absolute().resolve() != clock_home:
        what, fix = f"{CLOCK} belongs to another home", f"unset {CLOCK}"
    elif os.environ.get("HEADRACE_STORE"):
        what, fix = "a home in virtual time cannot use another store", "unset HEADRACE_STORE"
    else:
        return
    raise StateError(what, where=str(root), fix=fix)


def default_root() -> Path:
    """Return the default folder of the home, without creating it."""
    if configured := os.environ.get("HEADRACE_HOME"):
        return _checked("HEADRACE_HOME", Path(configured).absolute())
    return (project_root() / ".headrace").absolute()


def configured_store() -> Path | str | None:
    """Return the folder or `s3://` URL in `HEADRACE_STORE`; None if it is not set."""
    store = os.environ.get("HEADRACE_STORE")
    if not store or store.startswith("s3://"):
        return store or None
    return _checked("HEADRACE_STORE", Path(store).absolute())


# A command reads existing folders, or may create one; in library calls (None) nothing is checked.
Use = Literal["read", "create"]
_USE: ContextVar[Use | None] = ContextVar("headrace_use_of_places", default=None)


@contextmanager
def places_for(use: Use) -> Iterator[None]:
    """Raise an error within the block if an environment variable names a missing folder.

    With "create" only its parent must exist: if that is missing too, the path is probably mistyped,
    or a disk is not mounted.
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
    """Return `start` (default: the current folder), or its nearest parent with a pyproject.toml."""
    current = (start or Path.cwd()).absolute()
    for folder in (current, *current.parents):
        if (folder / "pyproject.toml").exists():
            return folder
    return current
