"""Run one side of one test: `python -m bench.features_child SIDE WHAT FOLDER OUT`; prints JSON.

Before the clock starts, the tables are in memory in the side's own form, imports are done, and a
tiny run has loaded everything that is loaded on first use. The answer is written after the clock
has stopped.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather

from headrace.features import (
    Column,
    Count,
    Distinct,
    FeatureView,
    Last,
    Lookup,
    Max,
    Mean,
    Min,
    Std,
    Sum,
    TableShape,
    View,
    Window,
)

SECOND = 1_000_000
WINDOWS = {"1h": 3600, "1d": 86_400, "7d": 7 * 86_400, "30d": 30 * 86_400}
WIDTHS = {name: seconds * SECOND for name, seconds in WINDOWS.items()}
SHAPE = TableShape(
    "events",
    "event",
    ("event_id",),
    {
        "event_id": Column(pa.int64()),
        "entity": Column(pa.int64()),
        "amount": Column(pa.int64(), scale=2),
        "shop": Column(pa.int64()),
    },
)
STATE = Lookup("f", "events", ("entity",), ("amount", "shop"), None)
OWN = ["event_time", "known_at"]


def view(*, rich: bool) -> FeatureView:
    features = []
    for name in WINDOWS:
        window = Window(f"-{name}")
        kinds = (Count, Sum, Mean, Min, Max, *((Std, Last) if rich else ()))
        features += [
            kind("amount", window, name=f"{kind.__name__.lower()}_{name}") for kind in kinds
        ]
        if rich:
            features.append(Distinct("shop", window, name=f"distinct_{name}"))
    return FeatureView("f", "events", ("entity",), tuple(features))


def ours(what: str, events: pa.Table, spine: pa.Table) -> Callable[[], pa.Table]:
    from headrace.features import training_frame

    views: list[View] = [STATE] if what in {"asof", "feast"} else [view(rich=what == "rich")]

    def work(events: pa.Table = events, spine: pa.Table = spine) -> pa.Table:
        def history(_: str, columns: list[str]) -> pa.Table:
            return events.select([*columns, *OWN])

        return training_frame(spine, views, history, {"events": SHAPE})

    warm_up(work, events, spine)
    return work


def warm_up(work: Callable[..., pa.Table], events: pa.Table, spine: pa.Table) -> None:
    """Load the compiled loops before the clock starts, like imports."""
    import os

    before = os.environ.get("HEADRACE_KERNEL")
    if before is None:
        os.environ["HEADRACE_KERNEL"] = "compiled"
    tail = max(events.num_rows - 3000, 0)
    work(events.slice(tail), spine.slice(0, 1000))
    if before is None:
        del os.environ["HEADRACE_KERNEL"]


def polars(how: str, what: str, events: pa.Table, spine: pa.Table) -> Callable[[], pa.Table]:
    import polars as pl

    from bench.peers import features_polars

    rows = pl.from_arrow(events).rename({"event_time": "t"})
    moments = pl.from_arrow(spine)
    work = getattr(features_polars, how)
    return lambda: work(rows, moments, WIDTHS, rich=what == "rich")


def duckdb(how: str, what: str, events: pa.Table, spine: pa.Table) -> Callable[[], object]:
    import duckdb as module

    from bench.peers import features_duckdb

    db = module.connect()
    db.register("given_events", events.rename_columns(_renamed(events)))
    db.register("given_spine", spine)
    for name in ("events", "spine"):
        db.execute(f"CREATE TABLE {name} AS SELECT * FROM given_{name}").fetchall()

    def work() -> object:
        if how == "asof":
            features_duckdb.asof(db)
        else:
            getattr(features_duckdb, how)(db, WIDTHS, rich=what == "rich")
        return db

    return work


def _renamed(events: pa.Table) -> list[str]:
    return ["t" if name == "event_time" else name for name in events.column_names]


def arrow(answer: object) -> pa.Table:
    if isinstance(answer, pa.Table):
        return answer.rename_columns([n.removeprefix("f__") for n in answer.column_names])
    return _fetched(answer) if hasattr(answer, "execute") else answer.to_arrow()


def _fetched(db: object) -> pa.Table:
    return db.sql("SELECT * FROM features").to_arrow_table()


def main(side: str, what: str, folder: str, out: str) -> None:
    where = Path(folder)
    if what == "memory":
        seconds = out_of_core(where, Path(out))
    else:
        # Copy the files, so that no side maps them while another has to hold them in memory.
        spine = feather.read_table(where / "spine.arrow", memory_map=False)
        events = feather.read_table(where / "events.arrow", memory_map=False).combine_chunks()
        module, _, how = side.partition(" ")
        make = {"ours": lambda: ours(what, events, spine)}.get(module)
        if what == "feast":
            make = lambda: from_files(where, spine)  # noqa: E731
        work = make() if make else globals()[module](how, what, events, spine)
        start = time.perf_counter()
        answer = work()
        seconds = time.perf_counter() - start
        feather.write_feather(arrow(answer), out, compression="uncompressed")
    peak = peak_mb()
    print(json.dumps({"side": side, "seconds": seconds, "rss_mb": peak}))


def peak_mb() -> float:
    """Return the peak of this process alone; `ru_maxrss` would include its parent's peak."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def from_files(where: Path, spine: pa.Table) -> Callable[[], pa.Table]:
    """Return a function that reads the events from Parquet, as Feast does."""
    import pyarrow.parquet as pq

    path = where / "events.parquet"
    pq.write_table(feather.read_table(where / "events.arrow"), path)
    events = pq.read_table(path)
    ours("feast", events, spine)

    return lambda: ours_once(pq.read_table(path), spine)


def ours_once(events: pa.Table, spine: pa.Table) -> pa.Table:
    from headrace.features import training_frame

    return training_frame(
        spine, [STATE], lambda _, columns: events.select([*columns, *OWN]), {"events": SHAPE}
    )


def out_of_core(where: Path, out: Path) -> float:
    """Compute the frame from Parquet to Parquet; return the seconds, without imports."""
    import pyarrow.parquet as pq

    from headrace.features.frames.out_of_core import training_batches

    spine = feather.read_table(where / "spine.arrow", memory_map=False)

    def history(_: str, columns: list[str]) -> pa.RecordBatchReader:
        wanted = [*columns, *OWN]
        file = pq.ParquetFile(where / "events.parquet", pre_buffer=False)
        schema = pa.schema([file.schema_arrow.field(name) for name in wanted])
        batches = file.iter_batches(batch_size=250_000, columns=wanted)
        return pa.RecordBatchReader.from_batches(schema, (b.select(wanted) for b in batches))

    start = time.perf_counter()
    with (
        training_batches(
            spine, [view(rich=False)], history, {"events": SHAPE}, memory=600 * 2**20
        ) as frame,
        pq.ParquetWriter(out.with_suffix(".parquet"), frame.schema) as to,
    ):
        for batch in frame:
            to.write_batch(batch)
    return time.perf_counter() - start


if __name__ == "__main__":
    main(*sys.argv[1:])
