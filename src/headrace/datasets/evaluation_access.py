"""Audit log of accesses to the evaluation split.

    datasets/<name>/<version>/looks/<n>.json   who read it, when and for what purpose

Every access that influences a decision makes the split less independent. Each access is therefore
recorded before the rows are returned, as an immutable document under the next free number. A crash
leaves a complete document or none, and simultaneous accesses are recorded separately.
"""

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from headrace.core.clock import iso, now_us
from headrace.core.errors import DeclarationError, StateError
from headrace.core.files import canonical_json
from headrace.datasets.manifest import Manifest
from headrace.datasets.store.store import Store
from headrace.datasets.vocabulary import EVALUATION

FORMAT = 1
_DOCUMENT = re.compile(r"[1-9]\d*\.json")


@dataclass(frozen=True)
class EvaluationAccess:
    """An access to the evaluation split of the release `ref`; `at` is in microseconds UTC."""

    ref: str
    at: int
    principal: str
    purpose: str

    def __str__(self) -> str:
        return f"{self.principal} at {iso(self.at)} in {self.ref}: {self.purpose}"


def record(
    store: Store, manifest: Manifest, purpose: str | None, principal: str | None = None
) -> EvaluationAccess:
    """Record an access to the evaluation split; warn if there are more accesses than declared.

    `principal` is by default the acting user: HEADRACE_PRINCIPAL, or the system's user.

    Raises:
        DeclarationError: the purpose is missing, or the release has no evaluation split.
        StateError: the access cannot be recorded, so it is refused.
    """
    from headrace.core.permissions import acting

    if EVALUATION not in manifest.splits:
        raise DeclarationError(
            f"{manifest.ref} has no evaluation split",
            fix="declare DatasetSpec(evaluation=Evaluation(share=0.1, after=...))",
        )
    if not purpose or not purpose.strip():
        raise DeclarationError(
            "an evaluation access needs a purpose", where=manifest.ref, fix="give one"
        )
    look = EvaluationAccess(manifest.ref, now_us(), principal or acting(), purpose)
    form = {"format": FORMAT, "at": look.at, "principal": look.principal, "purpose": purpose}
    folder = _folder(store, manifest)
    try:
        while not store.storage.create(
            f"{folder}/{max(_numbers(store, folder), default=0) + 1}.json",
            canonical_json(form) + b"\n",
        ):
            pass  # another access took this number at the same moment
    except StateError as error:
        raise StateError(
            f"an access to the evaluation split cannot be recorded: {error.what}",
            where=f"{store.storage.address}/{folder}",
            fix="use a copy of the store that you may write to",
        ) from error
    _warn(store, manifest)
    return look


def looks(store: Store, manifest: Manifest) -> list[EvaluationAccess]:
    """Accesses to the evaluation split of this release, oldest first."""
    folder = _folder(store, manifest)
    return [_look(store, manifest.ref, f"{folder}/{n}.json") for n in _numbers(store, folder)]


def count(store: Store, manifest: Manifest) -> int:
    """Number of accesses to the evaluation split of this release."""
    return len(_numbers(store, _folder(store, manifest)))


def count_all(store: Store, name: str) -> int:
    """Number of accesses to all versions of a dataset: their evaluation splits share most rows.

    Removed versions count as well, since their successors have most of the same rows.
    """
    return sum(
        len(_numbers(store, f"{store.folder(name, version)}/looks"))
        for version in (*store.versions(name), *store.removed_versions(name))
    )


def allowed(manifest: Manifest) -> int | None:
    """Number of accesses that the dataset allows; None if it has no evaluation split."""
    limit = manifest.split_rule.get("evaluation_looks")
    return None if limit is None else int(limit)


def summary(store: Store, manifest: Manifest) -> dict[str, Any] | None:
    """`{"looks", "of_all_versions", "allowed"}`; None if there is no evaluation split."""
    if EVALUATION not in manifest.splits:
        return None
    return {
        "looks": count(store, manifest),
        "of_all_versions": count_all(store, manifest.name),
        "allowed": allowed(manifest),
    }


def _warn(store: Store, manifest: Manifest) -> None:
    limit, accesses = allowed(manifest), count_all(store, manifest.name)
    if limit is not None and accesses > limit:
        warnings.warn(
            f"the evaluation split of {manifest.name} was accessed {accesses} times, but only"
            f" {limit} accesses are allowed: models chosen on it are fitted to it; declare a"
            " later split",
            UserWarning,
            stacklevel=4,
        )


def _folder(store: Store, manifest: Manifest) -> str:
    return f"{store.folder(manifest.name, manifest.version)}/looks"


def _numbers(store: Store, folder: str) -> list[int]:
    return sorted(_scan_numbers(store, folder))


def _scan_numbers(store: Store, folder: str) -> Iterator[int]:
    for entry in store.storage.walk(folder):
        if _DOCUMENT.fullmatch(name := entry.path.rpartition("/")[2]):
            yield int(name.removesuffix(".json"))


def _look(store: Store, ref: str, path: str) -> EvaluationAccess:
    form = store.document(path)
    if form["format"] > FORMAT:
        raise StateError(
            f"an evaluation access has format {form['format']}, this Headrace reads up to {FORMAT}",
            where=f"{store.storage.address}/{path}",
            fix="upgrade headrace",
        )
    return EvaluationAccess(ref, form["at"], form["principal"], form["purpose"])
