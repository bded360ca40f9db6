"""Release ten versions with Headrace: `python -m bench.datasets_ours FORM FOLDER WORK`."""

import sys
from pathlib import Path

import pyarrow as pa

from bench.datasets_data import INPUT, SPEC
from bench.peers.datasets_versions import run
from headrace.datasets import open_release, release
from headrace.datasets.store.store import Store


def main(form: str, folder: str, work: str) -> None:
    """Make a complete release of each version: splits, leakage checks, hash, parts, manifest."""
    del form
    store_at = Path(work) / "store"

    def store(number: int, table: pa.Table, changed: pa.Table | None) -> None:
        del number, changed
        frame = table.append_column("label_reason", pa.nulls(table.num_rows, pa.string()))
        release(
            SPEC, frame, inputs={"rows": INPUT}, definitions={}, mode="recorded",
            code_revision="", store=store_at,
        )  # fmt: skip

    def read(number: int) -> pa.Table:
        return open_release(f"made@{Store(store_at).versions('made')[number - 1]}", store_at).arrow

    run(Path(folder), Path(work), store, read)


if __name__ == "__main__":
    main(*sys.argv[1:])
