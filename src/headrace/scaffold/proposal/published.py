"""Published state of a table: its latest rows, field ids, and the baseline of its batches."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from headrace.contracts import Contract, conform
from headrace.contracts.drift import Baseline, DriftFinding, detect, look_at
from headrace.contracts.drift.view_reader import delivered_texts
from headrace.core.errors import StateError
from headrace.core.home import Home, default_root
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.profiles import Baselines
from headrace.lake.tables.lake import Lake
from headrace.sources.rows import RawRows

_ENOUGH = 20_000  # rows
_AFTER_ALL = "~"  # sorts after every partition
# Kinds of semantic changes that a proposal mentions; the gate handles faults of single rows.
_MEANINGS = frozenset(
    {"unit_change", "zone_shift", "swap", "recoding", "decimal_comma", "timestamp_precision"}
)


@dataclass(frozen=True)
class PublishedState:
    """Published state of a table: typed rows (None if nothing is published), ids and baseline."""

    rows: pa.Table | None = None
    field_ids: tuple[int, ...] = ()
    reference: Baseline = field(default_factory=Baseline)


def published(contract: Contract) -> PublishedState:
    """Read the published state of the contract's table; it is empty if there is no home yet."""
    if not (default_root() / "format.json").exists():
        return PublishedState()
    home = Home.find()
    lake = Lake(home)
    try:
        ids = tuple(column.field_id for column in lake.schema(contract.table))
        rows = _latest(lake, contract.table)
    except StateError:
        return PublishedState()
    with Ledger(home) as ledger:
        return PublishedState(rows, ids, Baselines(home, contract, ledger).before(_AFTER_ALL))


def _latest(lake: Lake, table: str) -> pa.Table:
    import duckdb

    files, rows = [], 0
    for file in sorted(lake.files(table), key=lambda file: -file.snapshot_id):
        files.append(file.path)
        rows += file.rows
        if rows >= _ENOUGH:
            break
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        relation = lake.relation(table, files=files)
        return db.sql(f"SELECT * FROM {relation} LIMIT {_ENOUGH}").to_arrow_table()  # noqa: S608


def meaning_changes(
    contract: Contract, rows: RawRows, reference: Baseline
) -> tuple[Mapping[str, str], list[DriftFinding]]:
    """Compare `rows` with the baseline of earlier batches.

    Returns:
        {renamed column: its new delivered name}, and the other semantic changes.
    """
    conformed = conform(contract, rows, "sample")
    look = look_at(contract, rows, conformed, "sample")
    refused = conformed.table is None or conformed.bad_rows
    changes = detect(look, reference, delivered_texts(rows, look) if refused else {})
    renamed = {
        change.evidence["old"]: change.evidence["new"]
        for change in changes
        if change.kind == "rename"
    }
    return renamed, [change for change in changes if change.kind in _MEANINGS]
