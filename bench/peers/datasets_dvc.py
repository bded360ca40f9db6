"""Ten versions in DVC: `datasets_dvc.py FORM FOLDER WORK`, in an environment of its own.

DVC is called in process, without Git and with links instead of copies, which saves it seconds per
version. FORM is `file` (one Parquet file) or `files` (one file for each 100,000 rows; DVC stores
equal files only once, which is its best case).
"""

import os
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets_versions import run
from dvc.repo import Repo

OF_A_FILE = 100_000


def main(form: str, folder: str, work: str) -> None:
    root = Path(work)
    os.chdir(root)
    Repo.init(".", no_scm=True).close()
    Path(".dvc/config").write_text(
        "[core]\n    no_scm = True\n    analytics = false\n    check_update = false\n"
        '[cache]\n    type = "reflink,hardlink"\n'
    )
    repo, target = Repo("."), Path("data" if form == "files" else "data.parquet")

    def store(number: int, table: pa.Table, changed: pa.Table | None) -> None:
        del changed
        remove(target)
        write(table, target)
        repo.add(str(target))
        Path(f"version-{number}.txt").write_text(Path(f"{target}.dvc").read_text())

    def read(number: int) -> pa.Table:
        remove(target)
        Path(f"{target}.dvc").write_text(Path(f"version-{number}.txt").read_text())
        repo.checkout([f"{target}.dvc"], force=True)
        return pq.read_table(target)

    run(Path(folder), root, store, read)


def remove(target: Path) -> None:
    """Remove the files of `target`: they may be links into DVC's cache, so never overwrite them."""
    for path in target.iterdir() if target.is_dir() else [target]:
        path.unlink(missing_ok=True)


def write(table: pa.Table, target: Path) -> None:
    options = {"compression": "zstd", "compression_level": 1, "row_group_size": 65_536}
    options["use_dictionary"] = [field.name for field in table.schema if field.type == pa.string()]
    if target.suffix:
        pq.write_table(table, target, **options)
        return
    target.mkdir(exist_ok=True)
    for at in range(0, table.num_rows, OF_A_FILE):
        pq.write_table(table.slice(at, OF_A_FILE), target / f"{at:012d}.parquet", **options)


if __name__ == "__main__":
    main(*sys.argv[1:])
