"""The flights pipeline over a few days: the same declarations, with fewer days promised.

Also the words in which tests compare states: what tables hold, to the row, and every file.
"""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from unittest.mock import patch

from demo.flights import FeedServer
from headrace.core.clock import days
from headrace.core.home import Home
from headrace.datasets import TimeSplits, content_hash, list_releases
from headrace.features.spec import RowTransform
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.tables.lake import Lake
from headrace.operations.monitor_run import run_monitors
from headrace.pipeline import (
    Pipeline,
    build_release,
    build_view,
    train_model,
)
from headrace.pipeline.build_context import BuildContext
from pipelines.flights import pipeline as flights
from pipelines.flights.sources import Feed

ROOT = Path(__file__).parents[2]
# One schedule file comes twice on the 5th, and in the night to the 10th the clocks go forward.
FIRST, LAST = "2013-03-05", "2013-03-14"
# A storm, a file that comes twice, and a wind of 1048 mph.
WEEKS = ("2013-02-09", "2013-03-08")


def later(day: str, by: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=by)).isoformat()


# Deliveries


def cut_deliveries(whole: Path, folder: Path, first: str = FIRST, last: str = LAST) -> Path:
    """Those of `first` to `last`, and the outcomes known on the day after, copied with their times.

    Every slot's bytes are those of the whole year's deliveries.
    """
    (folder / "drop").mkdir(parents=True)
    shutil.copy2(whole / "reference.db", folder / "reference.db")
    feed_of(whole, folder, first, last)
    for day in days(first, last):
        for path in (whole / "drop").glob(f"schedule_{day}*.csv"):
            shutil.copy2(path, folder / "drop" / path.name)
    return folder


def feed_of(whole: Path, folder: Path, first: str, last: str) -> None:
    """The feed with the weather of these days, and the outcomes until the day after."""
    with closing(sqlite3.connect(folder / "feed.sqlite")) as feed, feed:
        feed.execute("ATTACH ? AS whole", (str(whole / "feed.sqlite"),))
        feed.execute(
            "CREATE TABLE slots (feed TEXT, day TEXT, repeats INTEGER, records INTEGER, body BLOB,"
            " PRIMARY KEY (feed, day)) WITHOUT ROWID"
        )
        feed.execute(
            "INSERT INTO slots SELECT * FROM whole.slots WHERE day >= ?"
            " AND day <= CASE feed WHEN 'outcomes' THEN ? ELSE ? END",
            (first, later(last, 1), last),
        )


# The pipeline


def short(folder: Path, first: str = FIRST, last: str = LAST) -> Pipeline:
    """The flights pipeline as if `first` to `last` were its year; nine days at least.

    A label takes two days to settle, so of each split the last two days are left out.
    """
    whole = flights(folder)
    tables = []
    for table in whole.tables:
        if table.partitioned:
            end = later(last, 1) if table.name == "outcomes" else last
            contract = replace(table.contract, coverage=(first, end))
            tables.append(replace(table, contract=contract))
        else:
            tables.append(table)
    bounds = (later(first, 4), later(first, 7), later(last, 1))
    dataset = replace(whole.dataset, splits=TimeSplits(*bounds), cutoff=later(last, 2))
    return replace(
        whole,
        tables=tuple(tables),
        dataset=dataset,
        model=replace(whole.model, num_rounds=10, bootstrap=50),
        monitor=replace(whole.monitor, anchor=first, window_days=3),
        first_slot=first,
        last_slot=later(last, 1),
        make_deliveries=None,
    )


@contextmanager
def opened(folder: Path, declare: Callable[[Path], Pipeline] = short) -> Iterator[Pipeline]:
    """The pipeline over these deliveries, with a feed that begins and ends with the block."""
    with FeedServer(folder) as server, patch.dict(os.environ, FLIGHTS_FEED_URL=server.url):
        pipeline = declare(folder)
        try:
            yield pipeline
        finally:
            for table in pipeline.tables:
                if isinstance(table.source, Feed):
                    for api in table.source._apis.values():
                        api.close()


def ingest_all(pipeline: Pipeline, home: Home) -> list:
    """Every promised slot of every table through the core."""
    return [
        result
        for table in pipeline.tables
        for result in ingest(table, table.expected_slots(), home)
    ]


def build_views(pipeline: Pipeline, home: Home, context: BuildContext | None = None) -> dict:
    """{view: what was done} for the views that are stored."""
    context = context or BuildContext(pipeline, home)
    views = [view for view in pipeline.views if not isinstance(view, RowTransform)]
    return {view.name: build_view(pipeline, view, home, context) for view in views}


def build_all(pipeline: Pipeline, home: Home) -> dict:
    """Everything after the tables, in order: {stage: what was done}."""
    context = BuildContext(pipeline, home)
    return {
        **build_views(pipeline, home, context),
        "release": build_release(pipeline, home, context),
        "model": train_model(pipeline, home),
        "monitors": run_monitors(pipeline, home, context=context),
    }


# What a state holds


def rows_of(pipeline: Pipeline, home: Home) -> dict[str, tuple[int, str]]:
    """{table: (rows, digest of the multiset of its rows)}, provenance included."""
    lake = Lake(home)
    found = {}
    for table in pipeline.tables:
        rows = lake.scan(table.name)
        found[table.name] = (rows.num_rows, content_hash(rows))
    return found


def assert_nothing_doubled(pipeline: Pipeline, home: Home) -> None:
    """No line of a batch is there twice, and the ledger calls published what the table holds."""
    lake = Lake(home)
    for table in pipeline.tables:
        lines = lake.scan(table.name, ["_batch", "_line"])
        assert lines.group_by(["_batch", "_line"]).aggregate([]).num_rows == lines.num_rows
        with Ledger(home) as ledger:
            batches = ledger.batches(table.name)
        published = {key for key, batch in batches.items() if batch.state == "published"}
        assert published == set(lake.live(table.name)), table.name
        assert not {batch.state for batch in batches.values()} & {"received", "judged"}


def releases(home: Home) -> dict[str, str]:
    return {one.ref: one.content_hash for one in list_releases(home.store)}


def files_of(home: Home) -> dict[str, str]:
    """{path: digest} of every file of the state; databases by their content, not by their pages.

    Dagster's own records are left out: they grow with every look at the pipeline.
    """
    found = {}
    for path in sorted(home.root.rglob("*")):
        name = str(path.relative_to(home.root))
        if path.is_dir() or name.startswith("dagster/") or name.endswith(("-wal", "-shm")):
            continue
        found[name] = _dump(path) if path.suffix == ".sqlite" else _digest(path.read_bytes())
    return found


def _dump(path: Path) -> str:
    with closing(sqlite3.connect(path)) as database:
        return _digest("\n".join(database.iterdump()).encode())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# A project of its own, for the command line


def short_project(root: Path, first: str = FIRST, last: str = LAST) -> Path:
    """A folder in which `headrace` finds the short pipeline over `FLIGHTS_DELIVERIES`."""
    return project(
        root,
        "short_flights",
        "from pipelines.flights.sources import deliveries_folder\n"
        "from tests.flights.short_range import short\n\n"
        f"PIPELINE = short(deliveries_folder(), {first!r}, {last!r})\n",
    )


def project(root: Path, module: str, code: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "pyproject.toml").write_text(f'[tool.headrace]\npipelines = ["{module}"]\n')
    (root / f"{module}.py").write_text(code)
    return root


def environment(home: Path, deliveries: Path) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if k not in ("HEADRACE_STORE", "DAGSTER_HOME")}
    return {
        **inherited,
        "HEADRACE_HOME": str(home),
        "FLIGHTS_DELIVERIES": str(deliveries),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}",
    }


def start(
    *arguments: str, project: Path, home: Path, deliveries: Path, **options: object
) -> subprocess.Popen:
    """`headrace` in a process group of its own, so that all of it can be killed."""
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("headrace")), *arguments],
        cwd=project,
        env=environment(home, deliveries),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def headrace(*arguments: str, project: Path, home: Path, deliveries: Path) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of the command."""
    with start(*arguments, project=project, home=home, deliveries=deliveries) as process:
        out, err = process.communicate()
    return process.returncode, out, err
