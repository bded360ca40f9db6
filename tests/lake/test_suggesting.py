"""A suite drafted from what is published: a person's YAML that all of history passes."""

from dataclasses import replace

import pytest
import yaml
from kit import SLOTS, Meter

from headrace.core.errors import DeclarationError
from headrace.gates import load_suite
from headrace.lake.ingest.protocol import ingest
from headrace.lake.shadow_checks import rehearsed
from headrace.lake.suite_draft import suggest


@pytest.fixture
def meter(tmp_path) -> Meter:
    made = Meter(tmp_path)
    made.drop_all()
    ingest(made.table, SLOTS, made.home)
    return made


def test_history_passes_the_draft(meter, tmp_path) -> None:
    made = suggest(meter.home, meter.table)
    told = made.document()
    assert (told["deliveries"], told["first"], told["last"]) == (12, SLOTS[0], SLOTS[-1])
    ids = [one["meta"]["id"] for one in told["checks"]]
    assert ids == ["row_count", "one_row_a_key", "value_is_there"]
    assert told["dropped"] == []  # the values grow, but limits on them are in the suite already

    path = tmp_path / "draft.yaml"
    path.write_text(made.text())
    drafted = load_suite(path, meter.table.contract)
    assert drafted.faults == ()
    assert [one.id for one in drafted.expectations] == ids
    assert all(one.shadow for one in drafted.expectations)
    shadows = rehearsed(meter.home, replace(meter.table, suite=drafted))
    assert [(one.batches, one.would) for one in shadows] == [(12, {})] * 3


def test_the_last_slots_only_and_checks_that_count(meter) -> None:
    made = suggest(meter.home, meter.table, last=4, shadow=False)
    assert made.slots == tuple(SLOTS[-4:])
    text = yaml.safe_load(made.text())
    assert not any("shadow" in one["meta"] for one in text["expectations"])


def test_a_table_without_history_is_refused(tmp_path) -> None:
    meter = Meter(tmp_path)
    with pytest.raises(DeclarationError, match="has no published deliveries"):
        suggest(meter.home, meter.table)
