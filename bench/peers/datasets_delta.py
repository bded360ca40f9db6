"""Ten versions in Delta Lake: `datasets_delta.py FORM FOLDER WORK`, in an environment of its own.

FORM is `overwrite` (write the whole version) or `merge`. Unlike all other sides, `merge` receives
the changed rows as input, and their range of time, so that it opens only the files with these rows.
"""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from datasets_versions import run
from deltalake import DeltaTable, WriterProperties, write_deltalake

# About 100,000 rows per file, so that few rows are rewritten if few changed.
FILE_BYTES = 10 << 20


def main(form: str, folder: str, work: str) -> None:
    place = str(Path(work) / "table")
    writer = WriterProperties(compression="ZSTD", compression_level=1)

    def store(number: int, table: pa.Table, changed: pa.Table | None) -> None:
        del number
        if form == "overwrite" or changed is None:
            write_deltalake(place, table, mode="overwrite", target_file_size=FILE_BYTES,
                            writer_properties=writer)  # fmt: skip
            return
        first, last = (
            f"{end.as_py():%Y-%m-%dT%H:%M:%SZ}" for end in pc.min_max(changed["t"]).values()
        )
        found = DeltaTable(place).merge(
            changed, source_alias="s", target_alias="o", writer_properties=writer,
            predicate=f"o.k = s.k AND o.t >= '{first}' AND o.t <= '{last}'",
        ).when_matched_update_all().execute()  # fmt: skip
        assert found["num_target_rows_updated"] == changed.num_rows, found

    def read(number: int) -> pa.Table:
        return DeltaTable(place, version=number - 1).to_pyarrow_table()

    run(Path(folder), Path(work), store, read)


if __name__ == "__main__":
    main(*sys.argv[1:])
