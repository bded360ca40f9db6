"""Run the year through Headrace's core: the functions that Dagster's assets call."""

import time
from pathlib import Path

import lightgbm  # noqa: F401 - imports are not part of the measured time
import numpy as np
import pandas  # noqa: ICN001, F401
import pyarrow as pa
import pyarrow.compute as pc
import pyiceberg.catalog.sql  # noqa: F401
import requests  # noqa: F401
import sqlalchemy  # noqa: F401

from bench.peers.learn import Result
from bench.watch import Watch
from headrace.core.home import Home
from headrace.datasets import open_release
from headrace.features.spec import RowTransform
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ledger.partition_state import SlotResult
from headrace.models import champion
from headrace.monitoring import run as _run  # noqa: F401
from headrace.operations import monitor_run
from headrace.pipeline import build
from headrace.pipeline.build_context import BuildContext
from pipelines.flights import PIPELINE

VIEWS = [view for view in PIPELINE.views if not isinstance(view, RowTransform)]
DELIVER, LEDGER, PUBLISH = "deliver", "staging and ledger", "publish commits"
MONITORS, TRAINING = "monitors", "training"


def watched() -> Watch:
    """Return a watch over the stages; functions are wrapped in the modules that call them."""
    watch = Watch()
    watch.wrap_iterator("headrace.lake.ingest.protocol", "fetch_slots", DELIVER)
    for name, label in (("read_rows", "parse"), ("conform", "contract"), ("judge", "gate")):
        watch.wrap("headrace.lake.ingest.validator", name, label)
    for name in ("_judge_all", "_deliver", "_results"):
        watch.wrap("headrace.lake.ingest.protocol", name, LEDGER)
    for name in ("_publish", "reconcile"):
        watch.wrap("headrace.lake.ingest.protocol", name, PUBLISH)
    watch.wrap("headrace.lake.ingest.early_fetch", "_fetch", "sources and landing (own thread)")
    for name in ("stage", "quarantine"):
        watch.wrap("headrace.lake.ingest.validator", name, "writing staged Parquet (own thread)")
    for name, label in (
        ("build_view", "features"),
        ("build_release", "release"),
        ("train_model", "evaluation, champion"),
    ):
        for place in ("headrace.pipeline.build", "headrace.pipeline"):
            watch.wrap(place, name, label)
    watch.wrap("headrace.operations.monitor_run", "run_monitors", MONITORS)
    watch.wrap("headrace.pipeline.build", "labelled_frame", "label and frame")
    watch.wrap("headrace.models.train", "_grow", TRAINING)
    watch.wrap("headrace.datasets.release_writer", "content_sum", "content hash")
    return watch


def work(folder: Path, url: str, out: Path) -> Result:  # noqa: ARG001 - it is in the environment
    watch = watched()
    home = Home.find()
    watch.start()
    tables(home)
    stages(home)
    breakdown = watch.stop()
    return Result(lambda: frame(home), {**breakdown, **watch.beside}, losses(home))


def tables(home: Home, last: str = "") -> list[SlotResult]:
    """Ingest every partition that the contracts promise, up to `last`."""
    return [
        result
        for table in PIPELINE.tables
        for result in ingest(table, table.expected_slots(last or None), home)
    ]


def stages(home: Home) -> dict[str, float]:
    """Run all stages from features to monitors; return the seconds of each stage."""
    marks = [time.perf_counter()]
    context = BuildContext(PIPELINE, home)
    for view in VIEWS:
        build.build_view(PIPELINE, view, home, context)
    marks.append(time.perf_counter())
    build.build_release(PIPELINE, home, context)
    marks.append(time.perf_counter())
    build.train_model(PIPELINE, home)
    marks.append(time.perf_counter())
    monitor_run.run_monitors(PIPELINE, home, context=context)
    marks.append(time.perf_counter())
    names = ("features", "release", "training and evaluation", MONITORS)
    return dict(zip(names, np.diff(marks).tolist(), strict=True))


def frame(home: Home) -> pa.Table:
    """Return all flights with features, and with label and split if they are in the release."""
    whole = build.feature_frame(BuildContext(PIPELINE, home))
    released = open_release(f"{PIPELINE.dataset.name}@latest", store=home.store).arrow
    key = [*PIPELINE.dataset.key]
    chosen = released.select([*key, "late", "split"])
    joined = whole.join(chosen, key, join_type="left outer")
    moment = joined["t"].cast(pa.int64()).cast(pa.timestamp("us", "UTC"))
    joined = joined.set_column(joined.column_names.index("t"), "t", moment)
    order = [("t", "ascending"), *((name, "ascending") for name in key)]
    return joined.take(pc.sort_indices(joined, order))


def losses(home: Home) -> dict[str, float]:
    """Return the log loss of model and baseline on the test split."""
    record = champion(home, PIPELINE.model.name)
    if record is None:
        return {}
    return {side: float(record.metrics[side]["log_loss"]) for side in ("model", "baseline")}
