"""Reference files: small CSV lookup tables whose content is part of a contract's hash."""

import csv
import io
from pathlib import Path

from headrace.contracts.model import ReferenceTable
from headrace.core.errors import DeclarationError
from headrace.core.files import sha256


def read_reference(path: Path, key: str, value: str) -> ReferenceTable:
    """Read two columns of a CSV file as a lookup; raise if a cell is empty or a key repeats."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DeclarationError(f"cannot read it: {error.strerror}", where=str(path)) from error
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8"))))
    values: dict[str, str] = {}
    for line, row in enumerate(rows, 2):
        if not row.get(key) or not row.get(value):
            raise _broken(path, line, f"{key!r} or {value!r} is empty or not a column")
        if row[key] in values:
            raise _broken(path, line, f"{row[key]!r} appears twice")
        values[row[key]] = row[value]
    return ReferenceTable(path.name, values, sha256(data))


def _broken(path: Path, line: int, what: str) -> DeclarationError:
    return DeclarationError(what, where=f"{path}, line {line}", fix="correct the reference file")
