"""Rows from which a contract is proposed: deliveries of one source, as text."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DeclarationError
from headrace.scaffold.inspection.sampled_source import take
from headrace.sources.rows import RawRows
from headrace.sources.sampling.sample import Limits, Sample

# Limits of what is read from each delivery; the proposal ignores the rest.
_LIMITS = Limits(rows=1_000_000, bytes=256 << 20)


def read_sample(addresses: Sequence[str]) -> Sample:
    """Read the rows at all `addresses` (files, globs, tables, HTTP) as one sample.

    A column that one of them lacks is null in its rows.

    Raises:
        DeclarationError: if there are no addresses, or no source reads such an address.
        SourceError: if an address does not exist or cannot be read.
    """
    if not addresses:
        raise DeclarationError("nothing to propose from", fix="give --data FILE, once or more")
    parts = [take(address, _LIMITS) for address in addresses]
    tables = [part.table for part in parts]
    notes = dict.fromkeys(note for part in parts for note in part.notes)
    return replace(
        parts[0],
        table=pa.concat_tables(tables, promote_options="default"),
        complete=all(part.complete for part in parts),
        notes=tuple(notes),
    )


def as_rows(sample: Sample, null_tokens: Sequence[str]) -> RawRows:
    """Convert a sample to delivered rows, with `null_tokens` as null and lines numbered from 2."""
    tokens = pa.array(null_tokens, pa.string())
    columns = {
        name: pc.if_else(pc.is_in(column, tokens), pa.scalar(None, pa.string()), column)
        for name, column in zip(sample.table.column_names, sample.table.columns, strict=True)
    }
    table = pa.table(columns)
    lines = np.arange(2, table.num_rows + 2, dtype=np.int64)
    return RawRows(table, lines, tuple(columns), (), table.num_rows)
