"""A catalog or table of another program or another home is refused and left as it is."""

import shutil
import sqlite3

import pytest
from kit import SLOTS, Meter

from headrace.core.errors import StateError
from headrace.lake.ingest.protocol import ingest
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.tables.iceberg import open_catalog
from headrace.lake.tables.lake import Lake


def published(root) -> Meter:
    root.mkdir(exist_ok=True)
    meter = Meter(root)
    meter.drop(SLOTS[0], range(5))
    ingest(meter.table, [SLOTS[0]], meter.home)
    meter.drop(SLOTS[1], range(7))
    return meter


@pytest.mark.parametrize("kind", ["text", "another program"])
def test_a_file_that_is_no_catalog_stays_as_it_is(tmp_path, kind):
    meter = Meter(tmp_path)
    meter.drop(SLOTS[0], range(5))
    path = meter.home.warehouse / "catalog.sqlite"
    path.parent.mkdir(parents=True)
    if kind == "text":
        path.write_text("notes of somebody, and no database at all\n" * 100)
    else:
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE invoices (id INTEGER)")
    before = path.read_bytes()
    with pytest.raises(StateError, match="not a catalog of Iceberg tables") as error:
        ingest(meter.table, [SLOTS[0]], meter.home)
    assert error.value.where == str(path)
    with pytest.raises(StateError, match="not a catalog of Iceberg tables"):
        Lake(meter.home).snapshot_id("meter")
    assert path.read_bytes() == before


def test_the_catalog_of_another_home_is_refused(tmp_path):
    mine, other = published(tmp_path / "mine"), published(tmp_path / "other")
    shutil.copy(other.home.warehouse / "catalog.sqlite", mine.home.warehouse / "catalog.sqlite")
    with pytest.raises(StateError, match="not in this home"):
        ingest(mine.table, [SLOTS[1]], mine.home)


def test_the_warehouse_of_another_home_is_refused(tmp_path):
    mine, other = Meter(tmp_path), published(tmp_path / "other")
    mine.drop(SLOTS[2], range(3))
    shutil.copytree(other.home.warehouse, mine.home.warehouse)
    shutil.copytree(other.home.staged, mine.home.staged)
    before = Lake(mine.home).snapshot_id("meter")
    with pytest.raises(StateError, match="belongs to another home"):
        ingest(mine.table, [SLOTS[2]], mine.home)
    assert Lake(mine.home).snapshot_id("meter") == before
    with Ledger(mine.home) as ledger:
        assert all(row.published_at is None for row in ledger.judgements("meter").values())


def test_a_table_of_another_program_is_refused(tmp_path):
    import pyarrow as pa

    meter = Meter(tmp_path)
    meter.drop(SLOTS[0], range(5))
    meter.home.warehouse.mkdir(parents=True)
    catalog = open_catalog(meter.home)
    catalog.create_table(("headrace", "meter"), schema=pa.schema([("amount", pa.int64())]))
    with pytest.raises(StateError, match="made by another program"):
        ingest(meter.table, [SLOTS[0]], meter.home)
