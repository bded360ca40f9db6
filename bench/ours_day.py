"""Run the year without its last days, then one more day; only that day may change."""

import time
from pathlib import Path

from bench.ours import VIEWS, stages, tables
from bench.peers.learn import Result
from headrace.core.home import Home
from headrace.lake.ingest.protocol import ingest
from headrace.pipeline import build_context
from pipelines.flights import PIPELINE

BEFORE, DAY = "2013-12-20", "2013-12-21"


def work(folder: Path, url: str, out: Path) -> Result:  # noqa: ARG001 - it is in the environment
    home = Home.find()
    tables(home, BEFORE)
    stages(home)
    computed, rows = [], []
    wrapped = build_context.materialise

    def counting(*args, **named):
        done = wrapped(*args, **named)
        computed.append(done.computed)
        rows.append(done.table.num_rows)
        return done

    build_context.materialise = counting
    start = time.perf_counter()
    results = [
        result
        for table in PIPELINE.tables
        if table.partitioned and table.expects(DAY)
        for result in ingest(table, table.expected_slots(DAY), home)
    ]
    ingested = time.perf_counter() - start
    spent = {"ingest": ingested, **stages(home)}
    changed = {result.slot for result in results if result.changed}
    assert changed == {DAY}, f"one more day changed {sorted(changed)}"
    again = computed[: len(VIEWS)]
    assert max(again) < 0.02 * max(rows), f"one more day computed {again} of {max(rows)} rows"
    about = {"rows of the views": max(rows), "rows computed": max(again), "slots changed": 1}
    return Result(lambda: None, {**spent, **about}, {})
