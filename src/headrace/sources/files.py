"""Drop folder: files that a producer writes, one or more per partition."""

import glob
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headrace.core.errors import DeclarationError, SourceError
from headrace.sources.base import Delivery, Format
from headrace.sources.delivery_reference import version_of
from headrace.sources.parsing.archives import ZIP, suffix_of, unzipped, with_codecs
from headrace.sources.storage import S3, UNFINISHED, Stored, explained, listed, opened, require

FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
}


@dataclass(frozen=True)
class DropFolder:
    """Files of one folder, matched to partitions by name and delivered oldest first.

    Files whose names start with a dot or end in .part or .tmp count as unfinished and are ignored.
    `arrived_at` is the file's modification time; files with equal times are ordered by name.

    A .zip must contain exactly one file, which is delivered. The pattern `x.csv` also matches
    `x.csv.gz` and `x.csv.zst`. An unreadable archive is delivered unchanged, and the gate blocks
    it.

    Attributes:
        name: name of the source.
        folder: the folder itself, or `"s3://bucket/prefix"`; subfolders are not searched.
        pattern: file name with `{slot}` and shell wildcards, such as `"sales_{slot}*.csv"`.
        producer: team or system that writes the files.
    """

    name: str
    folder: Path | str
    pattern: str
    producer: str

    def __post_init__(self) -> None:
        if "{slot}" not in self.pattern or "/" in self.pattern or "**" in self.pattern:
            raise DeclarationError(
                f"source {self.name}: {self.pattern!r} does not match file names to slots",
                fix='write a file name that holds {slot}, such as "sales_{slot}*.csv"',
            )
        if suffix_of(self.pattern) not in {*FORMATS, ZIP}:
            raise DeclarationError(
                f"source {self.name}: no reader for {self.pattern!r}",
                fix=f"end the pattern in one of {', '.join([*FORMATS, ZIP])}; .gz or .zst may"
                " follow",
            )

    def deliveries(self, slot: str) -> list[Delivery]:
        """Return the partition's files, by modification time, then name.

        Raises:
            SourceError: if the folder is missing, or a file changed while it was read.
        """
        stored = str(self.folder).startswith(S3)
        read = sorted(self._in_store(slot) if stored else self._in_folder(slot))
        return [
            self._delivery(slot, sequence, nanoseconds // 1000, origin, payload)
            for sequence, (nanoseconds, origin, payload) in enumerate(read)
        ]

    def _delivery(
        self, slot: str, sequence: int, arrived_at: int, origin: str, payload: bytes
    ) -> Delivery:
        if Path(origin).suffix == ZIP:
            with suppress(SourceError):  # `read_rows` reports the same error later
                payload, origin = unzipped(payload, origin, tuple(FORMATS))
        return Delivery(
            source=self.name,
            slot=slot,
            payload=payload,
            format=FORMATS.get(suffix_of(origin), "csv"),
            origin=origin,
            arrived_at=arrived_at,
            producer=self.producer,
            sequence=sequence,
        )

    def _in_store(self, slot: str) -> list[tuple[int, str, bytes]]:
        """Read the partition's objects; raise an error if one is replaced while it is read.

        Stores list objects only when they are complete, so there are no unfinished ones.
        """
        require(str(self.folder))
        objects = []
        for file in self._stored(slot):
            before = version_of(file.uri)
            with opened(file.uri) as handle, explained(file.uri):
                payload: bytes = handle.read()
            if before is None or version_of(file.uri) != before:
                raise self._changed(file.uri, slot)
            objects.append((before.modified * 1000, file.uri, payload))
        return objects

    def _stored(self, slot: str) -> list[Stored]:
        base = str(self.folder).rstrip("/")
        names = [p.replace("{slot}", slot) for p in with_codecs(self.pattern)]
        return [file for name in names for file in listed(f"{base}/{name}", missing_ok=True)]

    def _in_folder(self, slot: str) -> list[tuple[int, str, bytes]]:
        folder = Path(self.folder)
        if not folder.is_dir():
            raise SourceError(
                f"source {self.name}: there is no folder {folder}",
                where=f"slot {slot}",
                fix="create it, or correct `folder` where the source is declared",
            )
        names = [p.replace("{slot}", glob.escape(slot)) for p in with_codecs(self.pattern)]
        paths = [path for name in names for path in folder.glob(name)]
        return [self._read(path, slot) for path in paths if _finished(path)]

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
            raise self._changed(str(path), slot)
        return after.st_mtime_ns, str(path), payload

    def _changed(self, origin: str, slot: str) -> SourceError:
        return SourceError(
            f"source {self.name}: {origin} changed while it was read",
            where=f"slot {slot}",
            fix="have the producer write to a name ending in .part and rename it when done",
        )


def _finished(path: Path) -> bool:
    return not path.name.startswith(".") and path.suffix not in UNFINISHED and path.is_file()
