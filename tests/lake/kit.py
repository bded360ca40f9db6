"""A small table with a real contract, gate and drop folder, for the tests of the lake."""

import os
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from headrace.contracts import Contract, load_contract
from headrace.core.clock import days
from headrace.core.home import Home
from headrace.gates import Suite, load_suite
from headrace.lake.ingest.staging import StagedFile, stage
from headrace.lake.table import Table
from headrace.sources.files import DropFolder

SLOTS = days("2024-01-01", "2024-01-12")
ROWS = 5
_MINUTE = 60_000_000
_MIDNIGHT = 1_704_067_200_000_000

CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: meter
name: meter
version: 1.0.0
status: active
description: {purpose: Readings of a meter.}
schema:
  - name: meter
    dataGranularityDescription: one row per reading
    properties:
      - name: id
        logicalType: integer
        description: number of the reading
        required: true
        primaryKey: true
        primaryKeyPosition: 1
        customProperties: [{property: fieldId, value: 10}]
      - name: value
        logicalType: integer
        description: what the meter showed
        customProperties: [{property: fieldId, value: 11}]
      - name: read_at
        logicalType: timestamp
        description: when it was read
        required: true
        logicalTypeOptions: {timezone: true, defaultTimezone: UTC}
        customProperties: [{property: fieldId, value: 12}]
    customProperties:
      - {property: tableKind, value: event}
      - property: eventTime
        value: {expression: read_at, description: when it was read}
      - property: knownAt
        value: {expression: read_at + INTERVAL 10 MINUTE, description: ten minutes later}
      - property: coverage
        value: {first: "2024-01-01", last: "2024-01-12"}
team: {name: metering}
customProperties:
  - {property: consumers, value: [tests]}
  - {property: licence, value: CC0-1.0}
  - {property: allowedPurposes, value: [testing]}
  - {property: privacyClass, value: public}
"""

SUITE = """
name: test.meter
meta: {table: meter, version: VERSION, max_quarantined_share: 0.5}
expectations:
  - type: expect_column_values_to_be_between
    kwargs: {column: value, max_value: LIMIT}
    meta: {id: limit, action: quarantine, reason: the meter shows at most this}
  - type: expect_column_values_to_be_between
    kwargs: {column: value, min_value: 0}
    meta: {id: negative, action: block, reason: a meter does not run backwards}
"""


@cache
def meter_contract() -> Contract:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "meter.yaml"
        path.write_text(CONTRACT)
        return load_contract(path)


@cache
def meter_suite(limit: int = 1000, version: int = 1) -> Suite:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "meter.yaml"
        path.write_text(SUITE.replace("LIMIT", str(limit)).replace("VERSION", str(version)))
        return load_suite(path)


@dataclass
class Meter:
    """A home, a drop folder and the table between them."""

    root: Path

    def __post_init__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.home = Home(self.root / "home")
        source = DropFolder("meter", self.folder, "meter_{slot}*.csv", "the meter")
        self.table = Table("meter", source, meter_contract(), meter_suite())

    @property
    def folder(self):
        return self.root / "drop"

    def with_limit(self, limit: int) -> Table:
        """The same table under another rule."""
        return replace(self.table, suite=meter_suite(limit, version=2))

    def drop(self, slot: str, values, *, name: str = "", arrived: int = 0, second: int = 0) -> None:
        """Deliver readings; `name` tells several files of a slot apart, `arrived` orders them.

        A greater `second` makes a correction: the same keys are read, and known, later.
        """
        path = self.folder / f"meter_{slot}{name}.csv"
        path.write_bytes(meter_csv(slot, values, second))
        os.utime(path, (1_700_000_000 + arrived, 1_700_000_000 + arrived))

    def drop_all(self, slots=SLOTS) -> None:
        for number, slot in enumerate(slots):
            self.drop(slot, range(number, number + ROWS))


def meter_csv(slot: str, values, second: int = 0) -> bytes:
    lines = ["id,value,read_at"]
    for number, value in enumerate(values):
        ident = SLOTS.index(slot) * 1000 + number
        lines.append(f"{ident},{value},{slot}T00:{number:02}:{second:02}Z")
    return ("\n".join(lines) + "\n").encode()


def meter_rows(contract: Contract, batch_id: str, count: int = ROWS) -> pa.Table:
    """Rows in the contract's schema, made without a delivery."""
    columns = {}
    for field in contract.arrow_schema():
        if field.name == "_batch":
            columns[field.name] = pa.array([batch_id] * count)
        elif pa.types.is_timestamp(field.type):
            moments = [_MIDNIGHT + n * _MINUTE for n in range(count)]
            columns[field.name] = pa.array(moments, pa.int64()).cast(field.type)
        else:
            columns[field.name] = pa.array(range(count), pa.int64()).cast(field.type)
    return pa.table(columns, schema=contract.arrow_schema())


def staged(
    home: Home, contract: Contract, batch_id: str, rule: str = "r1", count: int = ROWS
) -> StagedFile:
    return stage(home, contract, batch_id, rule, meter_rows(contract, batch_id, count))


def balanced(status) -> bool:
    """The law of conservation."""
    fates = ("published", "quarantined", "pending", "rejected")
    return status["delivered"] == sum(status[fate] for fate in fates)
