"""The store: content-addressed objects, one folder per release, aliases. Plain files, relocatable.

    objects/<sha256>.parquet|json        what releases are made of
    datasets/<name>/<version>/           manifest.json, created.json
    datasets/<name>/aliases.json         {"champion": "1.0.0"}
    recalls/<table>/<batch id>/          see `headrace.datasets.taint`

Objects come first and the folder of a release last, by one rename, so a release is whole or absent.
"""

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.clock import iso, now_us
from headrace.datasets.manifest import Manifest
from headrace.datasets.names import NAME
from headrace.datasets.version import parse_version
from headrace.errors import DeclarationError, StateError
from headrace.files import canonical_json, move_into_place, sha256, sync_folder, write_json
from headrace.home import Home

_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_OBJECT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Store:
    """A folder of releases. Nothing in it is ever overwritten but aliases."""

    root: Path

    @classmethod
    def find(cls, root: Path | str | None = None) -> "Store":
        """`root`, else `HEADRACE_STORE`, else the store of the default home."""
        chosen = root or os.environ.get("HEADRACE_STORE") or Home.find().store
        return cls(Path(chosen).absolute())

    # Objects

    @property
    def objects(self) -> Path:
        return self.root / "objects"

    def object_path(self, digest: str, suffix: str) -> Path:
        """Where an object lies; refuses what is not a digest, and links."""
        if not _OBJECT.fullmatch(digest):
            raise StateError(f"{digest!r} is not an object id", where=str(self.root))
        path = self.objects / f"{digest}.{suffix}"
        if path.is_symlink():
            raise StateError("an object is a link", where=str(path), fix="restore the store")
        return path

    def adopt(self, temporary: Path, suffix: str) -> str:
        """Move a finished file into the store under the sha256 of its bytes."""
        with temporary.open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
        path = self.object_path(digest, suffix)
        if path.exists():
            temporary.unlink()
        else:
            move_into_place(temporary, path)
        return digest

    def put_json(self, value: object) -> str:
        data = canonical_json(value)
        self.objects.mkdir(parents=True, exist_ok=True)
        temporary = self.temporary(sha256(data))
        temporary.write_bytes(data)
        return self.adopt(temporary, "json")

    def get_json(self, digest: str) -> Any:  # noqa: ANN401 - JSON
        path = self.object_path(digest, "json")
        if not path.exists():
            raise StateError("an object is missing", where=str(path), fix="restore the store")
        data = path.read_bytes()
        if sha256(data) != digest:
            raise StateError("an object's bytes are not its own", where=str(path))
        return json.loads(data)

    def temporary(self, name: str) -> Path:
        self.objects.mkdir(parents=True, exist_ok=True)
        return self.objects / f".{name}.{os.getpid()}.tmp"

    @property
    def recalls(self) -> Path:
        return self.root / "recalls"

    # Releases

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    def folder(self, name: str, version: str) -> Path:
        return self.dataset(name) / checked_version(version)

    def dataset(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise DeclarationError(f"{name!r} is not a dataset name", fix="as in flights_delay")
        return self.datasets / name

    def names(self) -> list[str]:
        """All datasets with a release."""
        if not self.datasets.is_dir():
            return []
        return sorted(path.name for path in self.datasets.iterdir() if self.versions(path.name))

    def versions(self, name: str) -> list[str]:
        """Versions of a dataset, oldest first."""
        folder = self.datasets / name
        if not NAME.fullmatch(name) or not folder.is_dir():
            return []
        found = [path.name for path in folder.iterdir() if _VERSION.fullmatch(path.name)]
        return sorted(found, key=parse_version)

    def latest(self, name: str) -> Manifest | None:
        versions = self.versions(name)
        return self.manifest(name, versions[-1]) if versions else None

    def manifest(self, name: str, version: str) -> Manifest:
        """Raises StateError when it is missing, or is not what was released."""
        path = self.folder(name, version) / "manifest.json"
        if not path.exists():
            raise StateError(
                f"there is no {name}@{version}", where=str(path), fix=self._known(name)
            )
        manifest = Manifest.from_json(json.loads(path.read_text()), str(path))
        expected = self.created(name, version)["manifest_id"]
        if (manifest.name, manifest.version, manifest.id) != (name, version, expected):
            raise StateError(
                f"the manifest was altered after its release: {manifest.id[:12]} is not "
                f"{expected[:12]}, or it is filed under another name",
                where=str(path),
                fix="restore it from a copy of the store",
            )
        return manifest

    def created(self, name: str, version: str) -> dict[str, Any]:
        """When the release was made, and the id its manifest had then."""
        path = self.folder(name, version) / "created.json"
        if not path.exists():
            raise StateError("a release is not whole", where=str(path), fix="restore the store")
        form: dict[str, Any] = json.loads(path.read_text())
        return form

    def publish(self, manifest: Manifest) -> None:
        """Make a release visible by one rename. Raises StateError if its version is taken."""
        folder = self.folder(manifest.name, manifest.version)
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        write_json(temporary / "manifest.json", manifest.to_json())
        created = {"created_at": iso(now_us()), "manifest_id": manifest.id}
        write_json(temporary / "created.json", created)
        try:
            temporary.rename(folder)
        except OSError as error:
            shutil.rmtree(temporary)
            raise StateError(
                f"{manifest.ref} exists and is never overwritten",
                where=str(folder),
                fix="release again: the next version is computed from what exists",
            ) from error
        sync_folder(folder.parent)

    # Aliases

    def aliases(self, name: str) -> dict[str, str]:
        path = self.dataset(name) / "aliases.json"
        found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        versions = self.versions(name)
        return {**found, "latest": versions[-1]} if versions else found

    def set_alias(self, name: str, alias: str, version: str) -> None:
        self.manifest(name, version)
        kept = {key: value for key, value in self.aliases(name).items() if key != "latest"}
        write_json(self.dataset(name) / "aliases.json", {**kept, alias: version})

    def resolve(self, ref: str) -> tuple[str, str]:
        """`name@version`, `name@alias` or `name` (the latest) as name and version."""
        name, _, wanted = ref.partition("@")
        if not NAME.fullmatch(name):
            raise DeclarationError(f"{ref!r} is no reference", fix="as in flights_delay@1.0.0")
        wanted = wanted or "latest"
        version = self.aliases(name).get(wanted, wanted)
        if version not in self.versions(name):
            raise StateError(f"there is no {ref}", where=str(self.root), fix=self._known(name))
        return name, version

    def _known(self, name: str) -> str:
        if versions := self.versions(name):
            names = [*versions, *(f"@{alias}" for alias in sorted(self.aliases(name)))]
            return f"{name} has {', '.join(names)}"
        if names := self.names():
            return f"this store has {', '.join(names)}"
        return "this store is empty; set HEADRACE_STORE or HEADRACE_HOME, or release first"


def checked_version(text: str) -> str:
    if not _VERSION.fullmatch(text):
        raise DeclarationError(f"{text!r} is not a version", fix="as in 1.0.0")
    return text
