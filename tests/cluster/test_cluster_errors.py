"""What goes wrong is said as on the other hosts; what is unsure is refused."""

import os
import subprocess
import sys
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from headrace.cluster import connect, entity_features, sail, training_frame, versions
from headrace.cluster import frame as cluster_frame
from headrace.cluster.messages import letters
from headrace.cluster.session import remote_errors
from headrace.core.errors import DeclarationError, HeadraceError
from headrace.features import FeatureView, Rows, RowTransform, Window
from headrace.features import training_frame as embedded_frame
from headrace.features.frames.shards import shards_of
from tests.cluster.kit import differing, numbered, typed, typed_history
from tests.features.logs import SHAPES, VIEWS, plain_lists, random_log

LOG = random_log(20)
BATTERY = [random_log(seed) for seed in range(4)]


def frame(session, log=LOG, spine=None, **given):
    spine = log.spine_table if spine is None else spine
    given = {"mode": log.mode, "shards": 3, **given}
    return training_frame(session, spine, VIEWS, log.history, SHAPES, **given)


@pytest.mark.parametrize("module", ["pyspark.sql.connect.session", "pysail.spark"])
def test_a_missing_part_is_named_with_the_command(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(HeadraceError, match=module) as refused, sail():
        pass
    assert "pip install 'headrace[cluster]'" in refused.value.fix


@pytest.mark.parametrize("address", ["sc://127.0.0.1:9", "http://127.0.0.1:9", "sc://"])
def test_an_address_where_nobody_is(address):
    with pytest.raises(HeadraceError, match=r"no server answers at 127\.0\.0\.1:9|not the address"):
        connect(address)


def test_a_worker_raises_what_the_embedded_host_raises(session):
    def history(name, columns):
        table = LOG.history(name, columns)
        hollow = pa.nulls(len(table), pa.int64())
        return table.set_column(table.column_names.index("id"), "id", hollow)

    views = [view for view in VIEWS if view.table == "facts"]
    errors = []
    for host in (
        lambda: training_frame(session, LOG.spine_table, views, history, SHAPES, shards=1).table(),
        lambda: embedded_frame(LOG.spine_table, views, history, SHAPES),
    ):
        with pytest.raises(HeadraceError) as refused:
            host()
        errors.append((refused.value.what, refused.value.where, refused.value.fix))
    assert errors[0] == errors[1]
    assert "null id" in errors[0][0]


def test_a_transform_that_fails_on_a_worker_is_named(session):
    def broken(column):
        return pc.add(column, 1 // (len(column) == 0))

    views = [*VIEWS, RowTransform("broken", ("t",), broken, "int64")]
    frame = training_frame(session, LOG.spine_table, views, LOG.history, SHAPES, shards=1)
    with pytest.raises(HeadraceError, match=r"ZeroDivisionError: .*division") as refused:
        frame.table()
    assert refused.value.where == "row transform broken"


def test_what_is_no_error_of_ours_stays_what_it_is():
    with pytest.raises(ZeroDivisionError), remote_errors():
        raise ZeroDivisionError


def test_a_spine_of_the_cluster_needs_an_order(on_sail):
    spine = typed(on_sail, LOG.spine_table)
    for order in (None, "number"):
        with pytest.raises(HeadraceError, match="no order"):
            frame(on_sail, spine=spine, order=order)


def test_numbers_that_occur_twice_are_refused(session):
    twice = pa.concat_tables([numbered(LOG.spine_table)] * 2)
    with pytest.raises(HeadraceError, match="have the same number"):
        frame(session, spine=typed(session, twice), order="number").table()


def test_a_spine_that_changes_between_readings_is_refused(session):
    def renumbered(batches):
        for batch in batches:
            chance = [int.from_bytes(os.urandom(6), "little") for _ in range(batch.num_rows)]
            yield batch.set_column(4, "number", pa.array(chance, pa.int64()))

    still = typed(session, numbered(LOG.spine_table))
    spine = still.mapInArrow(renumbered, still.schema)
    with pytest.raises(HeadraceError, match=r"changed when it was read again|have the same number"):
        frame(session, spine=spine, order="number").table()


def test_a_tie_that_comes_up_while_the_job_runs_is_refused(monkeypatch, on_sail):
    """Nobody may settle it by chance: not all columns are there that would decide."""
    monkeypatch.setattr(cluster_frame, "has_ties", lambda shape, rows: False)
    row = {**LOG.rows[0], "seq": 1, "known_at": 5, "_deleted": False}
    log = replace(LOG, rows=(row, {**row, "amount": 7}))
    history, _ = typed_history(on_sail, log)
    views = [FeatureView("few", "facts", ("who",), (Rows(Window("-10us")),))]
    with pytest.raises(HeadraceError, match="appeared while the job ran"):
        training_frame(on_sail, log.spine_table, views, history, SHAPES).table()


def test_columns_that_are_missing_or_doubled(on_sail):
    with pytest.raises(HeadraceError, match="the spine has no column 'who'"):
        frame(on_sail, spine=LOG.spine_table.drop_columns(["who"]))
    with pytest.raises(DeclarationError, match="is named pair__rows_10us"):
        frame(on_sail, spine=LOG.spine_table.append_column("pair__rows_10us", LOG.spine_table["t"]))
    with pytest.raises(DeclarationError, match="spine_row"):
        frame(on_sail, spine=LOG.spine_table.append_column("spine_row", LOG.spine_table["t"]))
    with pytest.raises(DeclarationError, match="no table 'facts'"):
        training_frame(on_sail, LOG.spine_table, VIEWS, LOG.history, {"plan": SHAPES["plan"]})


def by_entity(shape, rows, count):
    return (shards_of([rows["who"]], count) + 1) % count


FAULTS = {
    "keys dealt out by entity": (versions, "key_shards", by_entity),
    "keys dealt out as they come": (
        versions,
        "key_shards",
        lambda shape, rows, count: pc.random(len(rows)).to_numpy() * count // 1,
    ),
    "event order lost on the way": (
        versions,
        "event_order",
        lambda e, sequence, keys: pc.sort_indices(pa.array(keys)).to_numpy().astype("int64"),
    ),
    "rows lost on the way": (
        entity_features,
        "letters",
        lambda rows, groups, kind: letters(rows.slice(1), groups[1:], kind),
    ),
    "entities spread over shards": (
        entity_features,
        "spine_shards",
        lambda spine, join, count: spine["spine_row"].to_numpy() % count,
    ),
}


def wrong(session):
    """Whether some frame differs, or is refused."""
    for log in BATTERY:
        wanted = embedded_frame(log.spine_table, VIEWS, log.history, SHAPES, log.mode)
        try:
            found = frame(session, log).table()
        except HeadraceError:
            return True
        if differing(found, plain_lists(wanted)):
            return True
    return False


def test_nothing_is_wrong_where_nothing_is_planted(on_sail):
    assert not wrong(on_sail)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_planted_error_of_distribution_is_caught(fault, monkeypatch, on_sail):
    """Sail's workers are threads of this process, so what is planted here is what they run."""
    module, name, planted = FAULTS[fault]
    wrong_before = getattr(module, name)
    assert callable(wrong_before)
    if "as they come" in fault:
        planted = lambda shape, rows, count, deal=planted: deal(shape, rows, count).astype("int64")
    monkeypatch.setattr(module, name, planted)
    assert wrong(on_sail)


def test_a_program_without_a_file_may_connect():
    """Where there is no main file, the client would take itself for its own doctests and exit."""
    program = (
        "from headrace.cluster import connect\n"
        "from headrace.core.errors import HeadraceError\n"
        "try:\n    connect('sc://127.0.0.1:9')\n"
        "except HeadraceError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert "no server answers at 127.0.0.1:9" in done.stdout, done.stderr
