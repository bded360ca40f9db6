"""Ten versions with Hugging Face datasets: `datasets_hugging_face.py FORM FOLDER WORK`.

It runs in an environment of its own. FORM is `save_to_disk`, or `parquet` for `to_parquet`.
"""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, disable_progress_bars, load_from_disk
from datasets.table import InMemoryTable
from datasets_versions import run


def main(form: str, folder: str, work: str) -> None:
    disable_progress_bars()
    root = Path(work)

    def store(number: int, table: pa.Table, changed: pa.Table | None) -> None:
        del changed
        data = Dataset(InMemoryTable(table))
        if form == "parquet":
            data.to_parquet(root / f"{number}.parquet")
        else:
            data.save_to_disk(root / str(number))

    def read(number: int) -> pa.Table:
        if form == "parquet":
            return pq.read_table(root / f"{number}.parquet")
        return load_from_disk(root / str(number)).data.table

    run(Path(folder), root, store, read)


if __name__ == "__main__":
    main(*sys.argv[1:])
