"""A drop folder: files that somebody else writes, one or more for a slot."""

import glob
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import DeclarationError, SourceError
from headrace.sources.base import Delivery, Format
from headrace.sources.storage import UNFINISHED

_FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
}


@dataclass(frozen=True)
class DropFolder:
    """Files of one folder, matched to slots by name; the oldest is the first delivery.

    Files whose names start with a dot or end in .part or .tmp are still being written, and are
    not there yet. `arrived_at` is the file's modification time; equal times are told apart by name.

    Attributes:
        name: name of the source.
        folder: the folder itself; subfolders are not searched.
        pattern: file name with `{slot}` in it and shell wildcards, such as `"sales_{slot}*.csv"`.
        producer: who writes the files.
    """

    name: str
    folder: Path
    pattern: str
    producer: str

    def __post_init__(self) -> None:
        if "{slot}" not in self.pattern or "/" in self.pattern or "**" in self.pattern:
            raise DeclarationError(
                f"source {self.name}: {self.pattern!r} does not match file names to slots",
                fix='write a file name that holds {slot}, such as "sales_{slot}*.csv"',
            )
        if Path(self.pattern).suffix not in _FORMATS:
            raise DeclarationError(
                f"source {self.name}: no reader for {self.pattern!r}",
                fix=f"end the pattern in one of {', '.join(_FORMATS)}",
            )

    def deliveries(self, slot: str) -> list[Delivery]:
        """The slot's files by modification time, then name.

        Raises:
            SourceError: the folder is missing, or a file changed while it was read.
        """
        folder = Path(self.folder)
        if not folder.is_dir():
            raise SourceError(
                f"source {self.name}: there is no folder {folder}",
                where=f"slot {slot}",
                fix="create it, or correct `folder` where the source is declared",
            )
        pattern = self.pattern.replace("{slot}", glob.escape(slot))
        found = [path for path in folder.glob(pattern) if _finished(path)]
        read = sorted(self._read(path, slot) for path in found)
        return [
            Delivery(
                source=self.name,
                slot=slot,
                payload=payload,
                format=_FORMATS[Path(origin).suffix],
                origin=origin,
                arrived_at=nanoseconds // 1000,
                producer=self.producer,
                sequence=sequence,
            )
            for sequence, (nanoseconds, origin, payload) in enumerate(read)
        ]

    def _read(self, path: Path, slot: str) -> tuple[int, str, bytes]:
        try:
            before = path.stat()
            payload = path.read_bytes()
            after = path.stat()
        except OSError as error:
            raise SourceError(
                f"source {self.name}: cannot read {path}: {error.strerror}",
                where=f"slot {slot}",
                fix="check that the file is still there and may be read, then run again",
            ) from error
        if (before.st_mtime_ns, len(payload)) != (after.st_mtime_ns, after.st_size):
            raise SourceError(
                f"source {self.name}: {path} changed while it was read",
                where=f"slot {slot}",
                fix="have the producer write to a name ending in .part and rename it when done",
            )
        return after.st_mtime_ns, str(path), payload


def _finished(path: Path) -> bool:
    return not path.name.startswith(".") and path.suffix not in UNFINISHED and path.is_file()
