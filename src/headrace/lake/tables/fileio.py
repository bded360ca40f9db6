"""File access for local Iceberg metadata: durable writes, in a home that may be moved.

The catalog syncs each commit to disk. Each metadata file must be synced before the catalog refers
to it; otherwise the catalog could point at a file that never reached the disk. If the home was
moved, the stored paths still name its old place: they are not changed, but the corresponding file
of this home is opened or deleted. Only pyiceberg imports this module, by its name.
"""

import io
from collections.abc import Mapping
from pathlib import Path

from pyiceberg.io import OutputFile
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO

from headrace.core.files import move_into_place, temporary_beside
from headrace.lake.tables.relocation import home_path

HOME = "headrace.home"


class SyncedFileIO(PyArrowFileIO):  # type: ignore[misc]
    """The file layer of pyiceberg, with durable writes on local paths."""

    @staticmethod
    def parse_location(
        location: str, properties: Mapping[str, str] | None = None
    ) -> tuple[str, str, str]:
        options = dict(properties or {})
        path = home_path(options[HOME], location) if HOME in options else location
        parsed: tuple[str, str, str] = PyArrowFileIO.parse_location(path, options)
        return parsed

    def new_output(self, location: str) -> OutputFile:
        file = super().new_output(location)
        return _SyncedFile(file) if "://" not in location else file


class _SyncedFile(PyArrowFile):  # type: ignore[misc]
    def __init__(self, file: PyArrowFile) -> None:
        super().__init__(location=file.location, path=file._path, fs=file._filesystem)  # noqa: SLF001

    def create(self, overwrite: bool = False) -> "_SyncedStream":
        path = Path(self._path)
        if not overwrite and path.exists():
            raise FileExistsError(f"{path} exists already")
        return _SyncedStream(path)


class _SyncedStream(io.BytesIO):
    """Buffer of a small metadata file, which is written, synced and renamed on close."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def close(self) -> None:
        if not self.closed:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary = temporary_beside(self._path)
            temporary.write_bytes(self.getbuffer())
            move_into_place(temporary, self._path)
        super().close()
