"""Pointer to the champion: a small file, replaced atomically, with a history of changes."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from headrace.core.clock import iso, now_us
from headrace.core.errors import DeclarationError, StateError
from headrace.core.files import canonical_json, write_json
from headrace.core.home import Home
from headrace.datasets.reader import Dataset
from headrace.datasets.store.store import Store
from headrace.datasets.vocabulary import NAME
from headrace.models.compare import compare, not_worse
from headrace.models.external import list_external
from headrace.models.record import ModelRecord, bundles, load_record, model_folder
from headrace.models.taint import allow_model, model_taints


@dataclass(frozen=True)
class Champion:
    """Pointer to the champion: its bundle, and when and why it was promoted.

    `sequence` counts the changes of the pointer.
    """

    name: str
    bundle_id: str
    dataset: str
    since: str
    reason: str
    sequence: int
    previous: str | None


@dataclass(frozen=True)
class Challenge:
    """Outcome of comparing a model with the champion; `interval` is None without a comparison."""

    promoted: bool
    reason: str
    champion: Champion
    interval: Mapping[str, Any] | None = None


def pointer(home: Home, name: str) -> Champion | None:
    """Return the pointer to the champion, or None before the first promotion."""
    path = model_folder(home, name) / "champion.json"
    return Champion(**json.loads(path.read_text())) if path.exists() else None


def champion(home: Home, name: str) -> ModelRecord | None:
    """Return the champion, or None before the first promotion.

    It may be tainted, because a recall must not stop serving: callers check `model_taints` and
    report the taint.
    """
    current = pointer(home, name)
    return load_record(home, name, current.bundle_id) if current else None


def open_model(home: Home, ref: str, *, allow_tainted: str | None = None) -> ModelRecord:
    """Open `name@<bundle id>` (or a prefix of the id), `name@champion` or `name` (the champion).

    Args:
        home: Headrace home with the models.
        ref: reference of the model.
        allow_tainted: the reason to open a model that was trained on a recalled batch; it is
            recorded beside the bundles, with the principal.

    Raises:
        DeclarationError: `ref` is not a reference, or more than one bundle matches it.
        StateError: there is no such model.
        TaintedError: the model was trained on a recalled batch, and no reason was given.
    """
    record = find_model(home, ref)
    allow_model(home, record, allow_tainted)
    return record


def find_model(home: Home, ref: str) -> ModelRecord:
    """Return the model that `open_model` opens, even if tainted; for inspection only."""
    name, _, selector = ref.partition("@")
    if not NAME.fullmatch(name):
        raise DeclarationError(
            f"{ref!r} is not a model", fix="write a name such as flights_late@0123abcd"
        )
    return load_record(home, name, _bundle(home, name, selector or "champion"))


def _bundle(home: Home, name: str, selector: str) -> str:
    if selector == "champion":
        standing = pointer(home, name)
        if standing is None:
            raise StateError(
                f"model {name} has no champion",
                where=str(home.models),
                fix="see `headrace model ls`",
            )
        return standing.bundle_id
    matches = [bundle for bundle in bundles(home, name) if bundle.startswith(selector)]
    if not matches and any(
        model.name == name and model.bundle_id.startswith(selector) for model in list_external(home)
    ):
        raise DeclarationError(
            f"{name}@{selector} was trained outside Headrace, which cannot predict with it",
            where=str(home.models),
            fix="get its files with headrace.models.external.artifact_path",
        )
    if len(matches) > 1:
        raise DeclarationError(
            f"{name}@{selector} matches {len(matches)} models", fix="give more of the bundle id"
        )
    return matches[0] if matches else selector


def history(home: Home, name: str) -> list[Champion]:
    """Return all champions so far, oldest first."""
    path = model_folder(home, name) / "history.ndjson"
    lines = path.read_text().splitlines() if path.exists() else []
    entries = [Champion(**json.loads(line)) for line in lines]
    now = pointer(home, name)
    # after a crash between replacing the pointer and writing its line, add the pointer's entry
    return [*entries, now] if now and len(entries) < now.sequence else entries


def promote(
    home: Home, record: ModelRecord, reason: str, *, allow_tainted: str | None = None
) -> Champion:
    """Make `record` the champion, and point the alias `@champion` of its dataset at its release.

    Promoting the champion again changes nothing. Raises TaintedError for a model that was trained
    on a recalled batch, unless `allow_tainted` gives a reason, which is recorded.
    """
    before = pointer(home, record.name)
    if before and before.bundle_id == record.bundle_id:
        _follow(home, before)  # completes a promotion that crashed after replacing the pointer
        return before
    allow_model(home, record, allow_tainted)
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
    _follow(home, after)
    return after


def _follow(home: Home, now: Champion) -> None:
    """Update the history and the dataset's alias to match the pointer."""
    _append_missing(home, now.name)
    dataset, _, version = now.dataset.partition("@")
    store = Store.find(home.store)
    if version in store.versions(dataset):
        store.set_alias(dataset, "champion", version)


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

    The models are compared on the test split of `dataset`, on which neither may have been trained;
    see `not_worse`.
    """
    standing = pointer(home, record.name)
    if standing is None:
        reason = "first model"
        return Challenge(promoted=True, reason=reason, champion=promote(home, record, reason))
    current = load_record(home, record.name, standing.bundle_id)
    if current.bundle_id == record.bundle_id:
        return Challenge(promoted=False, reason="it is the champion already", champion=standing)
    try:
        comparison = compare(
            record,
            current,
            dataset.split("test").arrow,
            dataset.manifest.definitions,
            rounds=rounds,
            seed=seed,
        )
    except DeclarationError as error:
        reason = (
            f"not comparable with the champion: {error.what}; promote it by hand if you want it"
        )
        return Challenge(promoted=False, reason=reason, champion=standing)
    tainted = bool(model_taints(home, current))
    promoted, reason = not_worse(comparison, margin, tainted=tainted)
    winner = promote(home, record, reason) if promoted else standing
    return Challenge(
        promoted=promoted, reason=reason, champion=winner, interval=comparison.interval
    )
