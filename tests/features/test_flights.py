"""The reference pipeline's features load, and each is what its name says."""

from pathlib import Path

import pyarrow as pa

import pipelines.flights
from headrace.contracts.load import load_contract
from headrace.features import canonical, definition_hash, output_columns, validate
from pipelines.flights.dataset import LABEL
from pipelines.flights.features import SPINE, VIEWS

FOLDER = Path(pipelines.flights.__file__).parent / "contracts"
CONTRACTS = {path.stem: load_contract(path) for path in FOLDER.glob("*.yaml")}


def test_they_fit_the_contracts():
    types = validate(VIEWS, CONTRACTS, SPINE, LABEL)
    assert list(types) == output_columns(VIEWS)
    assert len(types) >= 25
    assert {str(kind) for kind in types.values()} == {"int64", "double"}
    assert types["sky__precip_sum_1d"] == types["weather__precip"] == pa.float64()


def test_calendars_are_bound_to_the_zone_table():
    hashes = [definition_hash(view, CONTRACTS) for view in (*VIEWS, SPINE, LABEL)]
    assert len(set(hashes)) == len(hashes)
    calendars = [view for view in VIEWS if view.outputs[0].startswith("dep_")]
    assert calendars
    assert all("time zones" in canonical(view, CONTRACTS)["code"] for view in calendars)
