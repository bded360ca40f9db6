"""Models that were trained outside Headrace, registered with their training release.

    models/<name>/external/<id>/model.json     dataset, content hash, framework, metrics, artifacts
    models/<name>/external/<id>/created.json   time and principal of the registration
    models/<name>/external/<id>/files/<sha256> the artifacts, unchanged

Headrace never loads, runs or unpickles the artifacts. The record links them to the training
release, so that the model is found when data of the release is recalled or erased. The id is the
sha256 of model.json.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from headrace.core.clock import iso, now_us
from headrace.core.errors import DeclarationError, SourceError, StateError
from headrace.core.files import canonical_json, digest, sync_folder, write_atomically, write_json
from headrace.core.home import Home
from headrace.datasets.reader import Dataset
from headrace.datasets.vocabulary import NAME
from headrace.models.record import model_folder

FORMAT = 1
_FORM, _CREATED = "model.json", "created.json"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Artifact:
    """File of a model: name, sha256, and size in bytes."""

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class ExternalModel:
    """Registered model. Its makers provide the `metrics`; Headrace does not check them."""

    name: str
    bundle_id: str
    path: Path
    dataset: str
    content_hash: str
    framework: str
    artifacts: tuple[Artifact, ...]
    metrics: Mapping[str, Any] = field(hash=False)
    registered_at: str
    principal: str

    @property
    def ref(self) -> str:
        return f"{self.name}@{self.bundle_id[:12]}"

    def to_json(self) -> dict[str, Any]:
        return {
            "ref": self.ref,
            **{key: value for key, value in asdict(self).items() if key != "path"},
            "artifacts": [asdict(artifact) for artifact in self.artifacts],
        }


def register(
    home: Home,
    name: str,
    dataset: Dataset,
    artifacts: Sequence[Path | str],
    *,
    framework: str = "",
    metrics: Mapping[str, Any] | None = None,
    content_hash: str | None = None,
    principal: str | None = None,
) -> ExternalModel:
    """Register a model that was trained on `dataset`; repeating a registration changes nothing.

    Args:
        home: Headrace home with the models.
        name: name of the model; Headrace may train a model of the same name.
        dataset: the training release, opened.
        artifacts: files of the model, with different names; they are copied.
        framework: library that loads the model, as in "torch 2.9".
        metrics: metrics that its makers provide, as JSON values.
        content_hash: content hash of the release that training recorded; it must be the content
            hash of `dataset`.
        principal: who registers the model; by default the current principal.

    Raises:
        DeclarationError: a name, file or metric cannot be stored, or the content hash differs.
        TaintedError: the release holds a recalled batch, so the model would be tainted.
        SourceError: a file cannot be read.
    """
    from headrace.core.permissions import acting
    from headrace.datasets.taint import refuse_tainted, taints

    _check(name, artifacts, dataset, content_hash)
    marks = taints(dataset.store, dataset.manifest)
    fix = "train on a clean release; see `headrace dataset ls`"
    refuse_tainted(dataset.ref, marks, where=f"model {name}", fix=fix)
    folder = model_folder(home, name) / "external"
    temporary = folder / f".{os.getpid()}-{now_us()}.tmp"
    try:
        copies = [_copied(Path(artifact), temporary / "files") for artifact in artifacts]
        form = {
            "format": FORMAT,
            "name": name,
            "dataset": dataset.ref,
            "content_hash": dataset.content_hash,
            "manifest": dataset.manifest.id,
            "framework": framework,
            "metrics": _plain(metrics or {}),
            "artifacts": [asdict(copy) for copy in sorted(copies, key=lambda copy: copy.name)],
        }
        identity = digest(form)
        write_atomically(temporary / _FORM, canonical_json(form))
        created = {"registered_at": iso(now_us()), "principal": acting(principal)}
        write_json(temporary / _CREATED, created)
        _move(temporary, folder / identity)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return load_external(home, name, identity)


def _check(
    name: str, artifacts: Sequence[Path | str], dataset: Dataset, content_hash: str | None
) -> None:
    where = f"model {name}"
    if not NAME.fullmatch(name):
        raise DeclarationError(
            f"{name!r} is not a model name",
            fix="use lower-case letters, digits and underscores, starting with a letter",
        )
    names = [Path(artifact).name for artifact in artifacts]
    if not names or len(set(names)) < len(names):
        raise DeclarationError(
            "no artifact is given" if not names else f"two artifacts have the same name: {names}",
            where=where,
            fix="give each file of the model once",
        )
    if content_hash is not None and content_hash != dataset.content_hash:
        raise DeclarationError(
            f"it was trained on {content_hash[:16]}, but {dataset.ref} is"
            f" {dataset.content_hash[:16]}",
            where=where,
            fix="register it against the release that it was trained on: headrace dataset ls",
        )


def _plain(metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        canonical_json(dict(metrics))
    except (TypeError, ValueError) as error:
        raise DeclarationError(
            f"metrics are not a JSON object of finite values: {error}",
            where="metrics",
            fix='write them as in {"auc": 0.81}',
        ) from error
    return dict(metrics)


def _copied(source: Path, folder: Path) -> Artifact:
    """Copy a file into `folder`, named by the sha256 of its bytes."""
    if not source.is_file():  # a folder, a pipe that never ends, or a missing file
        raise _not_copied(source, "it is not a file")
    folder.mkdir(parents=True, exist_ok=True)
    hasher, size = hashlib.sha256(), 0
    target = folder / ".copying"
    try:
        with source.open("rb") as file, target.open("wb") as copy:
            while block := file.read(_BLOCK):
                hasher.update(block)
                copy.write(block)
                size += len(block)
            copy.flush()
            os.fsync(copy.fileno())
    except OSError as error:
        raise _not_copied(source, str(error.strerror or error)) from error
    target.rename(folder / hasher.hexdigest())
    return Artifact(source.name, hasher.hexdigest(), size)


def _not_copied(source: Path, why: str) -> SourceError:
    return SourceError(
        f"an artifact cannot be copied: {why}",
        where=str(source),
        fix="give the path of a file; pack a folder into one first",
    )


def _move(temporary: Path, folder: Path) -> None:
    """Publish the folder atomically; an existing folder has the same content and is kept."""
    if folder.exists():
        return
    sync_folder(temporary)
    try:
        temporary.rename(folder)
    except OSError as error:
        if not folder.exists():
            raise StateError(
                f"the model cannot be stored: {error.strerror}",
                where=str(folder),
                fix="check the permissions and the free space of the home",
            ) from error
        return
    sync_folder(folder.parent)


def load_external(home: Home, name: str, identity: str) -> ExternalModel:
    """Load a registered model.

    Raises StateError if it is missing, was altered, or has a newer format.
    """
    folder = model_folder(home, name) / "external" / identity
    if not (folder / _FORM).exists():
        raise StateError(f"there is no model {name}@{identity[:12]}", where=str(folder))
    form = json.loads((folder / _FORM).read_text())
    if form["format"] > FORMAT:
        raise StateError(
            f"the model has format {form['format']}, this Headrace reads up to {FORMAT}",
            where=str(folder),
            fix="upgrade headrace",
        )
    artifacts = tuple(Artifact(**entry) for entry in form["artifacts"])
    if digest(form) != identity or not all(_is_there(folder, artifact) for artifact in artifacts):
        raise StateError(
            "a registered model was altered, or one of its files is missing",
            where=str(folder),
            fix="restore it, or remove the folder and register it again",
        )
    names = ("name", "dataset", "content_hash", "framework", "metrics")
    return ExternalModel(
        **{key: form[key] for key in names},
        bundle_id=identity,
        path=folder,
        artifacts=artifacts,
        **json.loads((folder / _CREATED).read_text()),
    )


def _is_there(folder: Path, artifact: Artifact) -> bool:
    path = folder / "files" / artifact.sha256
    return path.is_file() and path.stat().st_size == artifact.bytes


def artifact_path(model: ExternalModel, name: str) -> Path:
    """Return the path of a file of the model, after checking that its bytes are unchanged.

    Raises DeclarationError for an unknown name, StateError for changed bytes.
    """
    for artifact in model.artifacts:
        if artifact.name == name:
            path = model.path / "files" / artifact.sha256
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == artifact.sha256:
                    return path
            raise StateError(
                f"{name} was altered after registration",
                where=str(path),
                fix="restore it, or remove the folder and register it again",
            )
    raise DeclarationError(
        f"{model.ref} has no file {name!r}",
        fix=f"use one of {', '.join(artifact.name for artifact in model.artifacts)}",
    )


def list_external(home: Home) -> list[ExternalModel]:
    """Return all registered models, by name and time of registration."""
    models = [load_external(home, name, identity) for name, identity in _all(home)]
    return sorted(models, key=lambda model: (model.name, model.registered_at, model.bundle_id))


def _all(home: Home) -> Iterator[tuple[str, str]]:
    for path in sorted(home.models.glob(f"*/external/[!.]*/{_FORM}")):
        yield path.parents[2].name, path.parent.name
