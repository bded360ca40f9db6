"""Staged and quarantined rows: one Parquet file per batch and rule hash, never a partial one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.core.files import digest
from headrace.core.home import Home
from headrace.lake.tables.decimals import DIGITS, fitted, to_decimals, write_rows

if TYPE_CHECKING:
    from headrace.contracts import Contract
    from headrace.gates import Suite


@dataclass(frozen=True)
class StagedFile:
    """Parquet file to publish: all rows of one batch that passed the gate."""

    path: Path
    batch_id: str
    rows: int
    table: str


def rule_hash(contract: "Contract", suite: "Suite", parser: int | str) -> str:
    """Hash the rules that a verdict depends on; when it changes, batches are validated again."""
    return digest([contract.meaning_hash, suite.hash, str(parser)])[:16]


def staged_path(home: Home, table: str, batch_id: str, rule: str) -> Path:
    return home.staged / table / f"{batch_id}-{rule}.parquet"


def quarantine_path(home: Home, table: str, batch_id: str, rule: str) -> Path:
    return home.quarantine / table / f"{batch_id}-{rule}.parquet"


def stage(home: Home, contract: "Contract", batch_id: str, rule: str, rows: pa.Table) -> StagedFile:
    """Write the passing rows with the table's types and field ids; idempotent.

    Args:
        home: where the state lives.
        contract: gives the table's name, columns, dtypes and field ids.
        batch_id: value of `_batch` in every row.
        rule: the rule hash under which the rows were validated.
        rows: rows with at least the contract's columns and the reserved columns.
    """
    path = staged_path(home, contract.table, batch_id, rule)
    schema = contract.arrow_schema()
    ordered = rows.select(schema.names)
    if not ordered.schema.equals(schema, check_metadata=True):
        ordered = ordered.cast(schema)
    _write(path, to_decimals(ordered, contract.table_schema()))
    return StagedFile(path, batch_id, rows.num_rows, contract.table)


def fitting(
    files: Sequence[StagedFile], contract: "Contract", schema: pa.Schema
) -> list[StagedFile]:
    """Return files with the same rows, whose scaled columns have the types of `schema`.

    `schema` is the schema of the table.
    """
    if contract.table_schema() == contract.arrow_schema():
        return list(files)
    return [replace(f, path=fitted(f.path, schema)) if f.rows else f for f in files]


def quarantine(home: Home, contract: "Contract", batch_id: str, rule: str, rows: pa.Table) -> Path:
    """Write the failing rows with their reasons (`_reasons`, list of strings); idempotent."""
    path = quarantine_path(home, contract.table, batch_id, rule)
    _write(path, to_decimals(rows, quarantine_schema(rows.schema, contract)))
    return path


def quarantine_schema(schema: pa.Schema, contract: "Contract") -> pa.Schema:
    """Return the schema with scaled numbers as DECIMAL, wide enough for every int64."""
    scales = {field.name: field.scale for field in contract.fields if field.scale}
    wide = {name: pa.decimal128(DIGITS, scale) for name, scale in scales.items()}
    return pa.schema([field.with_type(wide.get(field.name, field.type)) for field in schema])


def _write(path: Path, rows: pa.Table) -> None:
    # A file with its final name is complete, and another run may have published it. It is not
    # replaced if it has the same number of rows: the same bytes and rules give the same content.
    if path.exists() and pq.read_metadata(path).num_rows == rows.num_rows:
        return
    write_rows(rows, path)
