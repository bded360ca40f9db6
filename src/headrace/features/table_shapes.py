"""Shape of a table: the part of its contract that features depend on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any, TypeAlias

import pyarrow as pa

from headrace.contracts.model import TIMESTAMP, Contract, Field
from headrace.contracts.semantic_digest import column_meanings, time_meaning
from headrace.core.errors import DeclarationError


@dataclass(frozen=True)
class Column:
    """Type and limits of one column.

    `scale` is the number of decimal digits of a scaled column (rule 14), `max_abs` the greatest
    absolute value of the stored integer (rule 16). `meaning` is a digest of what the contract
    states about the values, such as unit and nulls.
    """

    type: pa.DataType
    scale: int | None = None
    max_abs: int | None = None
    meaning: str = ""

    @property
    def is_integer(self) -> bool:
        return bool(pa.types.is_int64(self.type))

    @property
    def is_ordered(self) -> bool:
        """True for numbers and timestamps, which have a minimum and a maximum."""
        return self.is_integer or bool(
            pa.types.is_float64(self.type) or pa.types.is_timestamp(self.type)
        )

    @property
    def output_type(self) -> pa.DataType:
        """Type of the column's values in a frame; scaled integers become float64 in their unit."""
        return self.type if self.scale is None else pa.float64()

    def canonical(self) -> dict[str, Any]:
        return {"type": str(self.type), "scale": self.scale, "meaning": self.meaning}


@dataclass(frozen=True)
class TableShape:
    """Columns and limits of a table.

    `kind` is event, planned or state; `max_events` is the maximum number of rows in one window.
    `times` is a digest of the contract's definitions of event time and known-at.
    """

    name: str
    kind: str
    primary_key: tuple[str, ...]
    columns: Mapping[str, Column] = attribute(hash=False)
    sequence: str | None = None
    max_events: int | None = None
    times: str = ""

    def column(self, name: str, where: str) -> Column:
        if name not in self.columns:
            raise DeclarationError(
                f"table {self.name} has no column {name!r}",
                where=where,
                fix=f"use one of: {', '.join(self.columns)}",
            )
        return self.columns[name]


Shapes: TypeAlias = Mapping[str, TableShape]
# Contracts or shapes by table name; functions that take contracts accept both.
Contracts: TypeAlias = Mapping[str, Contract] | Mapping[str, TableShape]

__all__ = [
    "TIMESTAMP",
    "Column",
    "Contracts",
    "Shapes",
    "TableShape",
    "shape_for",
    "shape_of",
    "shapes_of",
]


def shape_of(contract: Contract | TableShape) -> TableShape:
    """Return the shape of a contract; a shape is returned unchanged."""
    if isinstance(contract, TableShape):
        return contract
    meanings = column_meanings(contract)
    return TableShape(
        name=contract.table,
        kind=contract.kind,
        primary_key=contract.primary_key,
        columns={f.name: _column(f, meanings[f.name]) for f in contract.fields},
        sequence=contract.sequence,
        max_events=contract.max_events,
        times=time_meaning(contract),
    )


def _column(field: Field, meaning: str) -> Column:
    return Column(
        type=field.arrow_type,
        scale=field.scale,
        max_abs=None if field.max_abs is None else math.ceil(field.max_abs),
        meaning=meaning,
    )


def shapes_of(contracts: Contracts) -> dict[str, TableShape]:
    return {table: shape_of(contract) for table, contract in contracts.items()}


def shape_for(shapes: Shapes, table: str, where: str) -> TableShape:
    if table not in shapes:
        raise DeclarationError(
            f"there is no table {table!r}",
            where=where,
            fix=f"use one of: {', '.join(sorted(shapes))}; or add its contract to the pipeline",
        )
    return shapes[table]
