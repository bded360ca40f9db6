"""Detection of files in drop folders that no source reads, with the likeliest reason for each."""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePath

from headrace.sources.files import DropFolder
from headrace.sources.parsing.archives import with_codecs
from headrace.sources.sql import SNAPSHOT
from headrace.sources.storage import Stored, listed

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_OTHER_DAY = re.compile(r"\d{8}|\d{1,4}[-_.]\d{1,2}[-_.]\d{1,4}")


@dataclass(frozen=True)
class FolderReader:
    """Source of a table, and a predicate for the partitions that the table expects."""

    table: str
    source: DropFolder
    expects: Callable[[str], bool]

    def slots_in(self, name: str) -> list[str]:
        """Return the partitions, expected or not, that a file of this name would belong to."""
        forms = with_codecs(self.source.pattern)
        return [
            slot
            for slot in sorted({*_DAY.findall(name), SNAPSHOT})
            if any(fnmatchcase(name, form.replace("{slot}", slot)) for form in forms)
        ]

    def reads(self, name: str) -> bool:
        return any(self.expects(slot) for slot in self.slots_in(name))


@dataclass(frozen=True)
class Unmatched:
    """File that no source reads.

    Attributes:
        pattern: the pattern, among those of its folder, that is most similar to its name.
        table: the table of that pattern.
        hint: why the file is not read, and what to do.
    """

    path: str
    size: int
    modified: int
    table: str
    pattern: str
    hint: str


def unmatched_files(folder: str, readers: Sequence[FolderReader]) -> list[Unmatched]:
    """Return the files in a folder that none of its readers reads, sorted by path.

    Unfinished files, hidden files and subfolders are ignored; a missing folder gives [].

    Raises:
        SourceError: if the store refuses access.
    """
    return [
        _unmatched(file, readers)
        for file in listed(f"{folder}/*", missing_ok=True)
        if not any(reader.reads(file.name) for reader in readers)
    ]


def _unmatched(file: Stored, sharing: Sequence[FolderReader]) -> Unmatched:
    near = max(sharing, key=lambda reader: _likeness(file.name, reader))
    pattern = near.source.pattern
    hint = _hint(file.name, near)
    return Unmatched(file.uri, file.size, file.modified, near.table, pattern, hint)


def _likeness(name: str, reader: FolderReader) -> tuple[bool, float]:
    plain = reader.source.pattern.replace("{slot}", "2024-01-01").replace("*", "")
    return bool(reader.slots_in(name)), difflib.SequenceMatcher(None, name, plain).ratio()


def _hint(name: str, near: FolderReader) -> str:
    pattern = near.source.pattern
    slots = [slot for slot in near.slots_in(name) if _DAY.fullmatch(slot)]
    if slots:
        return f"table {near.table} expects no delivery for {slots[0]}"
    if near.slots_in(name.lower()) and name != name.lower():
        return f"upper and lower case matter: the pattern is {pattern}"
    endings = {suffix for form in with_codecs(pattern) for suffix in PurePath(form).suffixes[-1:]}
    suffix = PurePath(name).suffix
    if suffix not in endings:
        expected = " or ".join(sorted(endings))
        return f"{suffix or 'a file without a suffix'} is not read here: deliver {expected}"
    if _OTHER_DAY.search(name) and not _DAY.search(name):
        return f"write the day as YYYY-MM-DD: the pattern is {pattern}"
    return f"rename it to fit {pattern}, or change the pattern where the source is declared"
