"""Which model is in charge: one small file, swapped atomically; every change is kept."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from headrace.clock import iso, now_us
from headrace.datasets.reader import Dataset
from headrace.datasets.store import Store
from headrace.errors import DeclarationError
from headrace.files import canonical_json, write_json
from headrace.home import Home
from headrace.models.evaluate import moments, truth
from headrace.models.metrics import day_block_interval, losses
from headrace.models.record import ModelRecord, load_record, model_folder
from headrace.models.score import predict


@dataclass(frozen=True)
class Champion:
    """The pointer: which bundle is in charge, since when and why. `sequence` counts changes."""

    name: str
    bundle_id: str
    dataset: str
    since: str
    reason: str
    sequence: int
    previous: str | None


@dataclass(frozen=True)
class Challenge:
    """What came of comparing a model with the champion; `interval` is null without a comparison."""

    promoted: bool
    reason: str
    champion: Champion
    interval: Mapping[str, Any] | None = None


def pointer(home: Home, name: str) -> Champion | None:
    path = model_folder(home, name) / "champion.json"
    return Champion(**json.loads(path.read_text())) if path.exists() else None


def champion(home: Home, name: str) -> ModelRecord | None:
    """The model in charge, or None before the first promotion."""
    found = pointer(home, name)
    return load_record(home, name, found.bundle_id) if found else None


def history(home: Home, name: str) -> list[Champion]:
    """Every champion so far, first to last."""
    path = model_folder(home, name) / "history.ndjson"
    lines = path.read_text().splitlines() if path.exists() else []
    kept = [Champion(**json.loads(line)) for line in lines]
    now = pointer(home, name)
    # A crash between swap and append leaves the last line out; the pointer is the truth.
    return [*kept, now] if now and len(kept) < now.sequence else kept


def promote(home: Home, record: ModelRecord, reason: str) -> Champion:
    """Put `record` in charge, and point its dataset's `@champion` at what it was trained on.

    Promoting the champion again changes nothing.
    """
    before = pointer(home, record.name)
    if before and before.bundle_id == record.bundle_id:
        return before
    _append_missing(home, record.name)
    after = Champion(
        name=record.name,
        bundle_id=record.bundle_id,
        dataset=record.dataset,
        since=iso(now_us()),
        reason=reason,
        sequence=before.sequence + 1 if before else 1,
        previous=before.bundle_id if before else None,
    )
    write_json(model_folder(home, record.name) / "champion.json", asdict(after))
    _append_missing(home, record.name)
    dataset, _, version = record.dataset.partition("@")
    store = Store.find(home.store)
    if version in store.versions(dataset):
        store.set_alias(dataset, "champion", version)
    return after


def _append_missing(home: Home, name: str) -> None:
    path = model_folder(home, name) / "history.ndjson"
    lines = len(path.read_text().splitlines()) if path.exists() else 0
    for entry in history(home, name)[lines:]:
        with path.open("ab") as file:
            file.write(canonical_json(asdict(entry)) + b"\n")
            file.flush()
            os.fsync(file.fileno())


def challenge(
    home: Home,
    record: ModelRecord,
    dataset: Dataset,
    *,
    margin: float = 0.001,
    rounds: int = 2_000,
    seed: int = 7,
) -> Challenge:
    """Promote `record` if there is no champion, or if it is not worse than the champion.

    Not worse: on the test split of `dataset`, which neither may have been trained on, the upper end
    of the day-block interval of its log loss minus the champion's is at most `margin`.
    """
    standing = pointer(home, record.name)
    if standing is None:
        reason = "first model"
        return Challenge(promoted=True, reason=reason, champion=promote(home, record, reason))
    current = load_record(home, record.name, standing.bundle_id)
    if current.bundle_id == record.bundle_id:
        return Challenge(promoted=False, reason="it is the champion already", champion=standing)
    try:
        interval = _interval(record, current, dataset, rounds, seed)
    except DeclarationError as error:
        reason = (
            f"not comparable with the champion: {error.what}; promote it by hand if it is meant"
        )
        return Challenge(promoted=False, reason=reason, champion=standing)
    promoted = interval["high"] <= margin
    reason = (
        f"log loss against the champion {interval['difference']:+.4f} "
        f"[{interval['low']:+.4f}, {interval['high']:+.4f}], margin {margin:+.4f}"
    )
    chosen = promote(home, record, reason) if promoted else standing
    return Challenge(promoted=promoted, reason=reason, champion=chosen, interval=interval)


def _interval(
    record: ModelRecord, current: ModelRecord, dataset: Dataset, rounds: int, seed: int
) -> dict[str, Any]:
    table = dataset.split("test").arrow
    if not table.num_rows:
        raise DeclarationError(f"{dataset.ref} has no test rows")
    y = truth(table, record.target)
    new, old = (
        losses(y, predict(one, table, definitions=dataset.manifest.definitions))
        for one in (record, current)
    )
    return dict(day_block_interval(moments(table), new - old, rounds, seed))
