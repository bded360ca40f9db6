"""Memory hangs on windows and buckets, not on the number of rows, even where nothing is alike."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.datasets.diff_oracle import big

# Each row has another moment in the second release, so that all wait for a partner on the disk.
CHILD = """
import sys
from pathlib import Path
import pyarrow.parquet as pq
from headrace.datasets.diff import unmatched_rows as unmatched
from headrace.datasets.diff.rows import _join
from headrace.datasets.diff.merge_join import Side
from headrace.datasets.diff.counts import Tally

class Scan:
    columns = ("k", "t", "f0", "f1", "f2", "i0", "i1", "s", "split")
    def __init__(self, path):
        self.path = path
        self.schema = pq.read_schema(path)
    def file(self, part):
        return pq.ParquetFile(self.path)  # mapped, its pages would count as ours

class Part:
    object = "one"

unmatched.IN_MEMORY = 32 << 20
types = {"k": "int64", "t": "timestamp", "f0": "float64", "f1": "float64", "f2": "float64",
         "i0": "int64", "i1": "int64", "s": "string", "split": "string"}
part = Part()
part.rows = int(sys.argv[3])
tally = Tally(("k",), types, 5)
with Side(Scan(sys.argv[1]), [part]) as a, Side(Scan(sys.argv[2]), [part]) as b:
    _join(tally, None, a, b)
assert tally.rows["changed"] == part.rows, tally.rows
assert tally.cells == {"t": part.rows}, tally.cells
print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024)
"""


def peak(folder, rows):
    """MB that comparing two files of so many rows takes."""
    table = big(rows, columns=6)
    shuffled = table["t"].take(pa.array(np.arange(rows)[::-1]))
    other = table.set_column(1, "t", shuffled).take(pa.array(np.arange(rows)[::-1]))
    paths = [folder / f"{name}-{rows}.parquet" for name in ("a", "b")]
    for path, one in zip(paths, (table, other), strict=True):
        pq.write_table(one, path, row_group_size=65_536)
    command = [sys.executable, "-c", CHILD, *map(str, paths), str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


@pytest.mark.slow
def test_four_times_the_rows_take_hardly_more_memory(tmp_path):
    small, large = peak(tmp_path, 1_000_000), peak(tmp_path, 4_000_000)
    assert large < 1.4 * small, (small, large)
