"""Which batches a store knows to be recalled, and so which of its releases are tainted.

    recalls/<table>/<batch id>/<n>.json      1: recalled, 2: restored, 3: recalled again, ...
    datasets/<name>/<version>/opened.ndjson  who opened the release although it was tainted, and why

Each document is written once, under the next free number. A release is tainted for as long as a
batch in its lists of inputs stands recalled. It follows from these two, so a release that is made
at the very moment of a recall is tainted like any other, and no mark of it can get lost.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from headrace.clock import iso, now_us
from headrace.datasets.manifest import InputTable, Manifest
from headrace.datasets.store import Store
from headrace.errors import DeclarationError, StateError, TaintedError
from headrace.files import canonical_json, sync_folder, temporary_beside

FORMAT = 1
OPENED = "opened.ndjson"
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_DOCUMENT = re.compile(r"[1-9]\d*\.json")


@dataclass(frozen=True)
class Recall:
    """What happened to a batch of a table after it was published.

    Attributes:
        event: `recalled`, or `restored`: the recall was wrong.
        table, batch_id, slot: which batch.
        at: when, int64 microseconds UTC.
        principal, reason: who, and why.
        releases: refs of the releases that held it then, for people and for copies of parts.
    """

    event: Literal["recalled", "restored"]
    table: str
    batch_id: str
    slot: str
    at: int
    principal: str
    reason: str
    releases: tuple[str, ...] = ()

    def __str__(self) -> str:
        return (
            f"batch {self.batch_id[:12]} of {self.table} ({self.slot}), {self.event} by"
            f" {self.principal} at {iso(self.at)}: {self.reason}"
        )

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self), "releases": list(self.releases)}


def note(store: Store, event: Recall) -> Recall:
    """Append what happened; the event that stands already, if it is of the same kind.

    A batch that was never recalled has nothing to be restored from: that is a no-op, too.
    """
    folder = _folder(store, event.table, event.batch_id)
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        number, last = _last(folder)
        if (last.event if last else "restored") == event.event:
            return last or event
        if _write_once(folder / f"{number + 1}.json", event.to_json()):
            return event


def standing(store: Store, tables: Iterable[str] | None = None) -> dict[tuple[str, str], Recall]:
    """Recalls that were not taken back, by (table, batch id); of these tables only."""
    root = store.recalls
    if not root.is_dir():
        return {}
    names = [path.name for path in root.iterdir()] if tables is None else tables
    found = {}
    for table in sorted(names):
        folder = root / table
        for one in sorted(folder.iterdir()) if folder.is_dir() else ():
            _, last = _last(one)
            if last is not None and last.event == "recalled":
                found[table, one.name] = last
    return found


def taints(store: Store, manifest: Manifest) -> tuple[Recall, ...]:
    """The standing recalls of batches that were live in a snapshot the release read."""
    recalled = standing(store, manifest.inputs)
    if not recalled:
        return ()
    held = {
        (table, batch)
        for table in {table for table, _ in recalled}
        if (listed := manifest.inputs[table].batch_list)
        for batch in store.get_json(listed)
    }
    return tuple(one for key, one in recalled.items() if key in held)


def taints_of(store: Store, ref: str) -> tuple[Recall, ...]:
    """Of a release by name and version; also of one that this store has no more."""
    name, _, version = ref.partition("@")
    if version in store.versions(name):
        return taints(store, store.manifest(name, version))
    return tuple(one for one in standing(store).values() if ref in one.releases)


def recalled_inputs(store: Store, inputs: Mapping[str, InputTable]) -> tuple[Recall, ...]:
    """The standing recalls of batches that a release to come would hold."""
    recalled = standing(store, inputs)
    return tuple(one for (table, key), one in recalled.items() if key in inputs[table].batches)


def kept(recall: Recall, reason: str) -> str:
    """For a manifest: that a release holds a recalled batch on purpose, in the form of an override.

    The moment is the recall's, so that the same release made again has the same manifest.
    """
    from headrace.gates.policy import acting

    form: dict[str, Any] = {
        "action": "keep",
        "at": iso(recall.at),
        "batches": [recall.batch_id],
        "expires_at": None,
        "principal": acting(),
        "reason": reason,
        "rules": "",
        "scope": {},
        "slot": recall.slot,
        "suite_hash": "",
        "table": recall.table,
    }
    return canonical_json(form).decode()


def refuse_tainted(ref: str, found: Sequence[Recall], *, where: str, fix: str) -> None:
    """Raises TaintedError if `found` is not empty."""
    if found:
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        raise TaintedError(f"{ref} is tainted: it holds {found[0]}{more}", where=where, fix=fix)


def record_opening(path: Path, found: Sequence[Recall], reason: str) -> None:
    """Append to `path` who opens something tainted, and why: first the record, then the data.

    Raises:
        DeclarationError: the reason is empty.
        StateError: it cannot be recorded.
    """
    from headrace.gates.policy import acting

    if not reason.strip():
        raise DeclarationError("allow_tainted has no reason", fix="say why: it is kept for good")
    line = {
        "format": FORMAT,
        "at": now_us(),
        "principal": acting(),
        "reason": reason,
        "batches": [{"table": one.table, "batch_id": one.batch_id} for one in found],
    }
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, b"\n" + canonical_json(line) + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise StateError(
            f"that something tainted is opened cannot be recorded: {error.strerror}",
            where=str(path),
            fix="open it in a copy of the store that you may write to",
        ) from error


def openings(path: Path) -> list[dict[str, Any]]:
    """What `record_opening` has recorded; a line that a crash cut short is left out."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def opened_path(store: Store, manifest: Manifest) -> Path:
    return store.folder(manifest.name, manifest.version) / OPENED


def untainted(store: Store, name: str) -> str:
    """The latest clean version of a dataset; "" if there is none that can be read."""
    for version in reversed(store.versions(name)):
        with suppress(StateError):
            if not taints(store, store.manifest(name, version)):
                return version
    return ""


def _folder(store: Store, table: str, batch_id: str) -> Path:
    for part in (table, batch_id):
        if not _PART.fullmatch(part):
            raise StateError(f"{part!r} names no table and no batch", where=str(store.root))
    return store.recalls / table / batch_id


def _last(folder: Path) -> tuple[int, Recall | None]:
    """The number and the event of the newest document in a batch's folder."""
    numbers = [int(one.stem) for one in folder.iterdir() if _DOCUMENT.fullmatch(one.name)]
    if not numbers:
        return 0, None
    path = folder / f"{max(numbers)}.json"
    form = json.loads(path.read_text())
    if form["format"] > FORMAT:
        raise StateError(
            f"the recall has format {form['format']}, this Headrace reads up to {FORMAT}",
            where=str(path),
            fix="upgrade headrace",
        )
    del form["format"]
    return max(numbers), Recall(**{**form, "releases": tuple(form["releases"])})


def _write_once(path: Path, form: Mapping[str, Any]) -> bool:
    """Write the whole document, or nothing if there is one; False if there is."""
    temporary = temporary_beside(path)
    try:
        with temporary.open("wb") as file:
            file.write(canonical_json(form) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    for folder in path.parents[:4]:  # up to the store: they may be new
        sync_folder(folder)
    return True
