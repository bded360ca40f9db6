"""The store: content-addressed objects, one folder per release, aliases. Plain files, relocatable.

    objects/<sha256>.parquet|json            parts and documents of releases
    datasets/<name>/<version>/manifest.json  a release, with its creation time and id
    datasets/<name>/<version>/opened/        see `headrace.datasets.taint`
    datasets/<name>/aliases/<alias>.json     {"version": "1.0.0"}
    datasets/<name>/<version>/tombstone.json replaces the manifest of an erased or retired release
    recalls/<table>/<batch id>/              recalled batches; see `headrace.datasets.taint`
    erasures/<id>/                           requests for erasure and their proofs

The store is a folder or a bucket; `storage` reads and writes it. Objects are written first and the
manifest last, and only if it does not exist yet. So a release is complete or absent, and no version
is used twice.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from headrace.core.clock import iso, now_us
from headrace.core.errors import DeclarationError, StateError
from headrace.core.files import canonical_json, pretty_json, sha256
from headrace.core.home import Home, configured_store
from headrace.datasets.manifest import Manifest
from headrace.datasets.store.manifest_consistency import check_consistent
from headrace.datasets.store.storage import S3, Storage, StoredFile, storage_at
from headrace.datasets.version import parse_version
from headrace.datasets.vocabulary import NAME

_VERSION = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})")
_OBJECT = re.compile(r"[0-9a-f]{64}")
_SUFFIXES = ("parquet", "json")
# File in the folder of a removed release; see `headrace.datasets.erasure.tombstone`.
TOMBSTONE = "tombstone.json"
# Fields that manifest.json has in addition to the manifest; not part of the release's identity.
_CREATION_FIELDS = ("created_at", "manifest_id")


class TakenError(StateError):
    """Another release took the version in the meantime."""


@dataclass(frozen=True)
class Store:
    """Releases in a folder or at `s3://bucket/prefix`. Only aliases are ever overwritten."""

    root: Path | str

    @classmethod
    def find(cls, root: Path | str | None = None) -> "Store":
        """Open the store at `root`, else `HEADRACE_STORE`, else the store of the default home."""
        location = root or configured_store() or Home.find().store
        return cls(str(location) if str(location).startswith(S3) else Path(location).absolute())

    @cached_property
    def storage(self) -> Storage:
        return storage_at(self.root)

    # Objects

    def object_name(self, digest: str, suffix: str) -> str:
        """Path of an object in the store. Raises StateError for an invalid digest or suffix."""
        if not _OBJECT.fullmatch(digest) or suffix not in _SUFFIXES:
            raise StateError(f"{digest!r} is not an object id", where=self.storage.address)
        return f"objects/{digest}.{suffix}"

    def object_path(self, digest: str, suffix: str) -> Path:
        """Local path of an object. Raises StateError for a symbolic link or a remote store."""
        place = self.storage.local_path(self.object_name(digest, suffix))
        if place is None:
            raise StateError(
                "this store is remote, so its objects have no local path",
                where=self.storage.address,
                fix="headrace dataset pull REF --out FOLDER",
            )
        return place

    def adopt(self, temporary: Path, suffix: str) -> str:
        """Move a finished file into the store under the sha256 of its bytes."""
        digest = _sha256_of(temporary)
        name = self.object_name(digest, suffix)
        present = self.storage.size(name) == temporary.stat().st_size
        place = self.storage.local_path(name)
        # Rewrite an object whose bytes on disk are damaged.
        if present and (place is None or _sha256_of(place) == digest):
            self.storage.refresh(name, temporary)
        else:
            self.storage.put_file(name, temporary)
        return digest

    def put_json(self, value: object) -> str:
        data = canonical_json(value)
        temporary = self.temporary(sha256(data))
        temporary.write_bytes(data)
        return self.adopt(temporary, "json")

    def get_json(self, digest: str) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self.get_bytes(digest))

    def get_bytes(self, digest: str) -> bytes:
        """Bytes of a JSON object. Raises StateError if it is missing or does not match its name."""
        name = self.object_name(digest, "json")
        data = self.storage.read_bytes(name)
        if sha256(data) != digest:
            raise StateError(
                f"object {digest[:12]} holds other bytes",
                where=f"{self.storage.address}/{name}",
                fix="restore it from a copy of the store",
            )
        return data

    def temporary(self, name: str) -> Path:
        """Path of a local temporary file, for `adopt` to move into the store."""
        return self.storage.temporary(name)

    # Releases

    def folder(self, name: str, version: str) -> str:
        """The path of a release's folder in the store."""
        return f"{self.dataset(name)}/{checked_version(version)}"

    def dataset(self, name: str) -> str:
        if not NAME.fullmatch(name):
            raise DeclarationError(f"{name!r} is not a dataset name", fix="as in flights_delay")
        return f"datasets/{name}"

    def names(self) -> list[str]:
        """Names of all datasets with a release."""
        return sorted(self._released("datasets"))

    def versions(self, name: str) -> list[str]:
        """Versions of a dataset, oldest first."""
        if not NAME.fullmatch(name):
            return []
        return sorted(self._released(self.dataset(name)).get(name, []), key=parse_version)

    def _released(self, folder: str) -> dict[str, list[str]]:
        """{name: versions} of releases that have a manifest and no tombstone."""
        entries = self.storage.walk(folder)
        released, removed = (_with(entries, file) for file in ("manifest.json", TOMBSTONE))
        remaining = {
            name: sorted(versions - removed.get(name, set())) for name, versions in released.items()
        }
        return {name: versions for name, versions in remaining.items() if versions}

    def removed_versions(self, name: str) -> list[str]:
        """Versions with a tombstone, oldest first; they are never used again."""
        entries = self.storage.walk(self.dataset(name))
        return sorted(_with(entries, TOMBSTONE).get(name, ()), key=parse_version)

    def _refuse_gone(self, name: str, version: str) -> None:
        from headrace.datasets.erasure.tombstone import refuse_gone

        if _VERSION.fullmatch(version):
            refuse_gone(self, name, version)

    def latest(self, name: str) -> Manifest | None:
        versions = self.versions(name)
        return self.manifest(name, versions[-1]) if versions else None

    def manifest(self, name: str, version: str) -> Manifest:
        """The manifest of a release. Raises StateError if it is missing or was altered."""
        path = f"{self.folder(name, version)}/manifest.json"
        where = f"{self.storage.address}/{path}"
        self._refuse_gone(name, version)
        if self.storage.size(path) is None:
            raise StateError(
                f"there is no {name}@{version}", where=where, fix=self._available_text(name)
            )
        form = self.document(path)
        expected = self._creation(name, version, form)["manifest_id"]
        manifest = Manifest.from_json(_without_creation(form), where)
        manifest_id = _id_of(manifest)
        if (manifest.name, manifest.version, manifest_id) != (name, version, expected):
            raise StateError(
                f"the manifest was altered after its release: {manifest_id[:12]} is not "
                f"{str(expected)[:12]}, or it is filed under another name",
                where=where,
                fix="restore it from a copy of the store",
            )
        check_consistent(manifest, where)
        return manifest

    def created(self, name: str, version: str) -> dict[str, Any]:
        """Creation time of the release, and the id of its manifest at that time."""
        form = self.document(f"{self.folder(name, version)}/manifest.json")
        return self._creation(name, version, form)

    def _creation(self, name: str, version: str, form: dict[str, Any]) -> dict[str, Any]:
        if "manifest_id" not in form:  # releases of format 1 keep it in a separate document
            form = self.document(f"{self.folder(name, version)}/created.json")
        try:
            return {key: str(form[key]) for key in _CREATION_FIELDS}
        except KeyError as error:
            raise StateError(
                f"the document of a release lacks {error}",
                where=f"{self.storage.address}/{self.folder(name, version)}",
                fix="restore it from a copy of the store",
            ) from error

    def document(self, path: str) -> dict[str, Any]:
        """JSON document at a path of the store. Raises StateError if there is none."""
        data = self.storage.read_bytes(path)
        try:
            form = json.loads(data)
        except (ValueError, RecursionError) as error:
            problem = f"it is not JSON: {error}"
        else:
            if isinstance(form, dict):
                return form
            problem = "it is not a JSON object"
        raise StateError(
            f"a document of the store cannot be read: {problem}",
            where=f"{self.storage.address}/{path}",
            fix="restore it from a copy of the store",
        )

    def publish(self, manifest: Manifest) -> None:
        """Publish a release by creating its document. Raises TakenError if its version is taken."""
        self._refuse_gone(manifest.name, manifest.version)
        path = f"{self.folder(manifest.name, manifest.version)}/manifest.json"
        creation_fields = {"created_at": iso(now_us()), "manifest_id": manifest.id}
        if not self.storage.create(path, pretty_json({**manifest.to_json(), **creation_fields})):
            raise TakenError(
                f"{manifest.ref} exists and is never overwritten",
                where=f"{self.storage.address}/{path}",
                fix="release again: the next version is computed from the existing ones",
            )

    # Aliases

    def aliases(self, name: str) -> dict[str, str]:
        """{alias: version}, including `latest` if there is a release."""
        folder = f"{self.dataset(name)}/aliases"
        by_alias: dict[str, str] = {}
        old = f"{folder}.json"  # earlier versions of Headrace kept all aliases in this file
        if self.storage.size(old) is not None:
            by_alias = {key: str(value) for key, value in self.document(old).items()}
        for entry in self.storage.walk(folder):
            alias = entry.path.removeprefix(f"{folder}/").removesuffix(".json")
            if NAME.fullmatch(alias):
                by_alias[alias] = str(self.document(entry.path).get("version"))
        versions = self.versions(name)
        return {**by_alias, "latest": versions[-1]} if versions else by_alias

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Point `name@alias` at a release, atomically."""
        if not NAME.fullmatch(alias) or alias == "latest":
            raise DeclarationError(f"{alias!r} cannot be an alias", fix="as in champion")
        self.manifest(name, version)
        path = f"{self.dataset(name)}/aliases/{alias}.json"
        self.storage.replace(path, pretty_json({"version": version}))

    def resolve(self, ref: str) -> tuple[str, str]:
        """(name, version) of `name@version`, `name@alias` or `name` (the latest)."""
        name, _, label = ref.partition("@")
        if not NAME.fullmatch(name):
            raise DeclarationError(f"{ref!r} is not a reference", fix="as in flights_delay@1.0.0")
        label = label or "latest"
        version = self.aliases(name).get(label, label)
        if version not in self.versions(name):
            self._refuse_gone(name, version)
            raise StateError(
                f"there is no {ref}", where=self.storage.address, fix=self._available_text(name)
            )
        return name, version

    def _available_text(self, name: str) -> str:
        if versions := self.versions(name):
            names = [*versions, *(f"@{alias}" for alias in sorted(self.aliases(name)))]
            return f"{name} has {', '.join(names)}"
        if names := self.names():
            return f"this store has {', '.join(names)}"
        if isinstance(self.root, Path) and not self.root.is_dir():
            return f"there is no folder {self.root}; correct HEADRACE_STORE or HEADRACE_HOME"
        return "this store is empty; set HEADRACE_STORE or HEADRACE_HOME, or release first"


def checked_version(text: str) -> str:
    if not _VERSION.fullmatch(text):
        raise DeclarationError(f"{text!r} is not a version", fix="as in 1.0.0")
    return text


def _sha256_of(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _with(entries: Iterable[StoredFile], file: str) -> dict[str, set[str]]:
    """{name: versions} of the release folders that contain `file`."""
    versions: dict[str, set[str]] = {}
    for entry in entries:
        _, name, version, *rest = [*entry.path.split("/"), "", "", ""]
        if rest[0] == file and NAME.fullmatch(name) and _VERSION.fullmatch(version):
            versions.setdefault(name, set()).add(version)
    return versions


def _without_creation(form: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in form.items() if key not in _CREATION_FIELDS}


def _id_of(manifest: Manifest) -> str:
    """Id of a manifest; "" if it has no canonical JSON, for example if it contains infinity."""
    try:
        return manifest.id
    except (TypeError, ValueError, RecursionError):
        return ""
