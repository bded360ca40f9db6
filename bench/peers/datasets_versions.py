"""Work of every side of the ten versions: store each one, and read some back. Needs only pyarrow.

`FOLDER` has the versions as Arrow files (`1.arrow` and so on), the changed rows of each version
(`2.changed.arrow` and so on), and `resorted.arrow`, the rows of the last version in another order.
A version is in memory before the clock starts.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

READ = (1, 5, 10)
Store = Callable[[int, pa.Table, pa.Table | None], None]
Read = Callable[[int], pa.Table]


def run(folder: Path, work: Path, store: Store, read: Read) -> None:
    """Print a JSON line: seconds and MB of all versions, and of the last one in another order."""
    count = len([path for path in folder.glob("*.arrow") if path.stem.isdigit()])
    seconds = [timed(store, n, load(folder / f"{n}.arrow"), changed(folder, n))
               for n in range(1, count + 1)]  # fmt: skip
    stored = size_of(work)
    answers = {n: answer(read(n)) for n in READ if n <= count}
    again = timed(store, count + 1, load(folder / "resorted.arrow"), None)
    print(json.dumps({
        "seconds": sum(seconds), "first": seconds[0], "mb": stored / 2**20,
        "again_seconds": again, "again_mb": (size_of(work) - stored) / 2**20, "answers": answers,
        "rss_mb": peak_mb(),
    }))  # fmt: skip


def timed(store: Store, number: int, table: pa.Table, some: pa.Table | None) -> float:
    start = time.perf_counter()
    store(number, table, some)
    return time.perf_counter() - start


def load(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as handle, pa.ipc.open_file(handle) as file:
        return file.read_all().combine_chunks()


def changed(folder: Path, number: int) -> pa.Table | None:
    path = folder / f"{number}.changed.arrow"
    return load(path) if path.exists() else None


def answer(table: pa.Table) -> list:
    """Return the number of rows, the sums of two columns, and the text lengths of a third."""
    ordered = table.sort_by("k")
    return [
        table.num_rows,
        pc.sum(table["i2"]).as_py(),
        repr(pc.sum(ordered["f1"].combine_chunks()).as_py()),
        pc.sum(pc.utf8_length(table["s2"].cast(pa.string()))).as_py(),
    ]


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder; a file with several hard links counts once."""
    found = {
        (stat.st_dev, stat.st_ino): stat.st_size
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
        for stat in [path.stat()]
    }
    return sum(found.values())


def peak_mb() -> float:
    """Return the peak memory of this process; `getrusage` would include its parent's peak."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
