"""Recalled batches in a store, and the releases that they taint.

    recalls/<table>/<batch id>/<n>.json        1: recalled, 2: restored, 3: recalled again, ...
    datasets/<name>/<version>/opened/<n>.json  who opened the tainted release, and why

Each document is written once, under the next free number. A release is tainted while one of its
input batches is recalled. Taint is not stored: every check compares the recalls with the input
batches of the release, so a release that is published during a recall is tainted as well.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from headrace.core.clock import iso, now_us
from headrace.core.errors import DeclarationError, StateError, TaintedError
from headrace.core.files import append_line, canonical_json
from headrace.datasets.manifest import InputTable, Manifest
from headrace.datasets.store.store import Store

FORMAT = 1
OPENED = "opened.ndjson"
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_DOCUMENT = re.compile(r"[1-9]\d*\.json")


@dataclass(frozen=True)
class Recall:
    """Recall or restoration of a published batch.

    Attributes:
        event: `recalled`, or `restored` after a wrong recall.
        table, batch_id, slot: the batch.
        at: moment of the event, int64 microseconds UTC.
        principal, reason: who did it, and why.
        releases: refs of the releases that held the batch at that moment.
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
    """Append `event` and return it; if the latest event has the same kind, return that one instead.

    Restoring a batch that was never recalled does nothing.
    """
    folder = _folder(store, event.table, event.batch_id)
    while True:
        number = _newest(store, folder)
        last = _event(store, f"{folder}/{number}.json") if number else None
        if (last.event if last else "restored") == event.event:
            return last or event
        if _create(store, f"{folder}/{number + 1}.json", event.to_json()):
            return event


def active_recalls(
    store: Store, tables: Iterable[str] | None = None
) -> dict[tuple[str, str], Recall]:
    """Recalls without a later restoration, by (table, batch id); by default of all tables."""
    folders = ["recalls"]
    if tables is not None:
        folders = [f"recalls/{table}" for table in sorted(tables) if _PART.fullmatch(table)]
    newest: dict[tuple[str, str], int] = {}
    for entry in (entry for folder in folders for entry in store.storage.walk(folder)):
        _, table, batch, *rest = [*entry.path.split("/"), "", ""]
        if rest and (number := _number(rest[0])):
            newest[table, batch] = max(number, newest.get((table, batch), 0))
    events = {
        (table, batch): _event(store, f"recalls/{table}/{batch}/{number}.json")
        for (table, batch), number in sorted(newest.items())
    }
    return {key: event for key, event in events.items() if event.event == "recalled"}


def taints(store: Store, manifest: Manifest) -> tuple[Recall, ...]:
    """Active recalls of batches in the snapshots that the release read."""
    recalled = active_recalls(store, manifest.inputs)
    if not recalled:
        return ()
    live_batches = {
        (table, batch)
        for table in {table for table, _ in recalled}
        if (listed := manifest.inputs[table].batch_list)
        for batch in store.get_json(listed)
    }
    return tuple(recall for key, recall in recalled.items() if key in live_batches)


def taints_of(store: Store, ref: str) -> tuple[Recall, ...]:
    """Active recalls that taint the release `ref`, even if it was removed from this store.

    For a release that an erasure replaced, they include the recalls that taint its successor, which
    was made from the same batches.
    """
    from headrace.datasets.erasure.tombstone import tombstones

    name, _, version = ref.partition("@")
    if version in store.versions(name):
        return taints(store, store.manifest(name, version))
    then = [recall for recall in active_recalls(store).values() if ref in recall.releases]
    after = [
        tombstone.successor
        for tombstone in tombstones(store)
        if tombstone.ref == ref and tombstone.successor
    ]
    since = [recall for successor in after for recall in taints_of(store, successor)]
    return tuple(dict.fromkeys([*then, *since]))


def recalled_inputs(store: Store, inputs: Mapping[str, InputTable]) -> tuple[Recall, ...]:
    """Active recalls of batches that a planned release would hold."""
    recalled = active_recalls(store, inputs)
    return tuple(
        recall for (table, key), recall in recalled.items() if key in inputs[table].batches
    )


def keep_override(recall: Recall, reason: str) -> str:
    """Override for a manifest, as JSON text: the release keeps a recalled batch on purpose.

    `at` is the moment of the recall, so that a rebuilt release has the same manifest.
    """
    from headrace.core.permissions import acting

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


def refuse_tainted(ref: str, recalls: Sequence[Recall], *, where: str, fix: str) -> None:
    """Raise TaintedError if there are recalls."""
    if recalls:
        remainder = f", and {len(recalls) - 1} more" if len(recalls) > 1 else ""
        raise TaintedError(
            f"{ref} is tainted: it holds {recalls[0]}{remainder}", where=where, fix=fix
        )


def record_opening(
    store: Store, manifest: Manifest, recalls: Sequence[Recall], reason: str
) -> None:
    """Record who opens a tainted release and why, before the data is read.

    Raises:
        DeclarationError: the reason is empty.
        StateError: the opening cannot be recorded.
    """
    folder, line = _opened(store, manifest), opening(recalls, reason)
    try:
        while not _create(store, f"{folder}/{_newest(store, folder) + 1}.json", line):
            pass
    except StateError as error:
        raise unrecorded(error.what, f"{store.storage.address}/{folder}") from error


def opening(recalls: Sequence[Recall], reason: str) -> dict[str, Any]:
    """Record of opening a tainted release, as JSON values.

    Raises:
        DeclarationError: the reason is empty.
    """
    from headrace.core.permissions import acting

    if not reason.strip():
        raise DeclarationError(
            "allow_tainted has no reason", fix="give a reason; it is stored permanently"
        )
    return {
        "format": FORMAT,
        "at": now_us(),
        "principal": acting(),
        "reason": reason,
        "batches": [{"table": recall.table, "batch_id": recall.batch_id} for recall in recalls],
    }


def unrecorded(why: str, where: str) -> StateError:
    return StateError(
        f"the opening of tainted data cannot be recorded: {why}",
        where=where,
        fix="open it in a copy of the store that you may write to",
    )


def openings_of(store: Store, manifest: Manifest) -> list[dict[str, Any]]:
    """Openings that `record_opening` has recorded, in order."""
    folder, storage = _opened(store, manifest), store.storage
    older = f"{folder}.ndjson"  # earlier versions of Headrace appended to this file
    lines = []
    if storage.size(older) is not None:
        lines = _lines(storage.read_bytes(older).decode())
    numbers = sorted(_number(entry.path.rpartition("/")[2]) for entry in storage.walk(folder))
    return lines + [store.document(f"{folder}/{n}.json") for n in numbers if n]


def append_opening(path: Path, line: Mapping[str, Any]) -> None:
    """Append an opening to a local file. Raises StateError if the file cannot be written."""
    try:
        append_line(path, line)
    except OSError as error:
        raise unrecorded(str(error.strerror), str(path)) from error


def openings(path: Path) -> list[dict[str, Any]]:
    """Openings that `append_opening` has recorded; a line cut short by a crash is skipped."""
    return _lines(path.read_text()) if path.exists() else []


def _lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def _opened(store: Store, manifest: Manifest) -> str:
    return f"{store.folder(manifest.name, manifest.version)}/opened"


def untainted(store: Store, name: str) -> str:
    """The latest version of a dataset that is readable and not tainted; "" if there is none."""
    for version in reversed(store.versions(name)):
        with suppress(StateError):
            if not taints(store, store.manifest(name, version)):
                return version
    return ""


def _folder(store: Store, table: str, batch_id: str) -> str:
    for part in (table, batch_id):
        if not _PART.fullmatch(part):
            raise StateError(f"{part!r} is not a table or batch name", where=store.storage.address)
    return f"recalls/{table}/{batch_id}"


def _number(name: str) -> int:
    """Number of a document `<n>.json`; 0 for other files."""
    return int(name.removesuffix(".json")) if _DOCUMENT.fullmatch(name) else 0


def _newest(store: Store, folder: str) -> int:
    entries = store.storage.walk(folder)
    return max((_number(entry.path.rpartition("/")[2]) for entry in entries), default=0)


def _event(store: Store, path: str) -> Recall:
    form = store.document(path)
    if form["format"] > FORMAT:
        raise StateError(
            f"the recall has format {form['format']}, this Headrace reads up to {FORMAT}",
            where=f"{store.storage.address}/{path}",
            fix="upgrade headrace",
        )
    del form["format"]
    return Recall(**{**form, "releases": tuple(form["releases"])})


def _create(store: Store, path: str, form: Mapping[str, Any]) -> bool:
    """Create a document atomically; return False, without writing, if it exists."""
    return store.storage.create(path, canonical_json(form) + b"\n")
