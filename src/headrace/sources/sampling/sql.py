"""Sampling of database tables: reads some rows and the declared types and keys."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.core.errors import DeclarationError, SourceError
from headrace.core.sql import ident
from headrace.sources.parsing.json_rows import ndjson_rows
from headrace.sources.parsing.typed_text import as_texts
from headrace.sources.relational.connections import SECONDS, reading, safe, split_address, table_of
from headrace.sources.relational.json_values import NotPlainError, Row, ndjson, plain
from headrace.sources.sampling.sample import Limits, Sample

if TYPE_CHECKING:
    import sqlalchemy as sa

DUCKDB = "duckdb:///"
_SAMPLED = 4  # tables with more than this multiple of the row limit are sampled at random


def sample_sql(address: str, limits: Limits) -> Sample:
    """Sample some rows of `url#schema.table` in a read-only transaction.

    Raises:
        DeclarationError: if no table is named.
        SourceError: if the database does not answer, or the table is missing or may not be read.
    """
    url, schema, table = split_address(address)
    if url.startswith(DUCKDB):
        return _duckdb(url, schema, table, limits)
    where = f"table {table} of {safe(url)}" if table else safe(url)
    with reading(url, where, seconds=SECONDS) as connection:
        return _sampled(connection, safe(url), schema, table, limits)


def _sampled(
    connection: "sa.Connection", safe_url: str, schema: str | None, table: str, limits: Limits
) -> Sample:
    import sqlalchemy as sa

    inspector = sa.inspect(connection)
    table_names = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
    _require_table(table, table_names, safe_url, schema)
    details, total = _size(connection, schema, table)
    columns = inspector.get_columns(table, schema)
    key = tuple(inspector.get_pk_constraint(table, schema).get("constrained_columns") or ())
    unique = [
        tuple(name for name in constraint["column_names"] if name)
        for constraint in inspector.get_unique_constraints(table, schema)
    ]
    names, records = _rows(connection, schema, table, total, limits)
    rows, notes = _plain_rows(names, records)
    texts = ndjson_rows(ndjson(rows)).table if rows else _empty(names)
    if not rows:
        notes = ["the table is empty: only its columns are known"]
    complete = len(rows) < limits.rows
    dead = sorted(set(names) - set(texts.column_names))
    for name in dead:
        texts = texts.append_column(name, pa.nulls(texts.num_rows, pa.string()))
    return Sample(
        address=f"{safe_url}#{f'{schema}.' if schema else ''}{table}",
        kind="sql",
        format="table",
        name=table,
        table=texts.select(names),
        complete=complete,
        total=len(rows) if complete else total,
        details={**details, "engine": connection.dialect.name},
        declared={column["name"]: str(column["type"]) for column in columns},
        keys=tuple(candidate for candidate in (key, *unique) if candidate),
        notes=tuple(notes),
    )


def _require_table(
    table: str, table_names: Sequence[str], safe_url: str, schema: str | None
) -> None:
    names = ", ".join(sorted(table_names)[:12]) or "none that you may see"
    of = f"schema {schema}" if schema else "it"
    if not table:
        raise DeclarationError("no table is named", where=safe_url, fix=f"write #table: {names}")
    if table not in table_names:
        raise SourceError(
            f"there is no table {table!r}", where=safe_url, fix=f"in {of} there are: {names}"
        )


def _rows(
    connection: "sa.Connection", schema: str | None, table: str, total: int | None, limits: Limits
) -> tuple[list[str], list[Sequence[Any]]]:
    import sqlalchemy as sa

    of: Any = table_of(table, schema)
    if connection.dialect.name == "postgresql" and (total or 0) > _SAMPLED * limits.rows:
        of = sa.tablesample(of, sa.func.system(200.0 * limits.rows / (total or 1)))
    query = sa.select(sa.text("*")).select_from(of).limit(limits.rows)
    result = connection.execute(query)
    return list(result.keys()), [tuple(record) for record in result]


def _size(
    connection: "sa.Connection", schema: str | None, table: str
) -> tuple[dict[str, object], int | None]:
    """Return (details, row count): PostgreSQL's estimate, else an exact count; None if unknown."""
    import sqlalchemy as sa

    if connection.dialect.name != "postgresql":
        count = sa.select(sa.func.count()).select_from(table_of(table, schema))
        return {}, int(connection.execute(count).scalar_one())
    query = sa.text(
        "SELECT c.reltuples, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid ="
        " c.relnamespace WHERE c.relname = :t AND n.nspname = coalesce(:s, current_schema())"
    )
    row = connection.execute(query, {"t": table, "s": schema}).first()
    if row is None or row[0] < 0 or str(row[1]) not in {"r", "m", "b'r'", "b'm'"}:
        return {}, None
    return {"total_is": "an estimate of the database"}, int(row[0])


def _plain_rows(
    names: Sequence[str], records: Iterable[Sequence[Any]]
) -> tuple[list[Row], list[str]]:
    """Convert records to rows as a source would deliver them, and return notes.

    Values that a source cannot deliver become null; the notes name their columns.
    """
    unreadable: dict[str, str] = {}
    rows = []
    for record in records:
        row: Row = {}
        for name, value in zip(names, record, strict=True):
            try:
                row[name] = plain(value)
            except NotPlainError as error:
                row[name] = None
                unreadable[name] = str(error)
        rows.append(row)
    return rows, [
        f"column {name} holds {kind}, which cannot be delivered: read a view that turns it into"
        " text or numbers, or leaves it out"
        for name, kind in unreadable.items()
    ]


def _empty(names: Sequence[str]) -> pa.Table:
    return pa.table({name: pa.array([], pa.string()) for name in names})


# DuckDB is read directly, since we do not install an SQLAlchemy dialect for it.


def _duckdb(url: str, schema: str | None, table: str, limits: Limits) -> Sample:
    import duckdb

    path = Path(url.removeprefix(DUCKDB))
    if not path.exists():
        raise SourceError(f"there is no file {path}", where=url, fix="correct the address")
    try:
        with duckdb.connect(str(path), read_only=True) as db:
            db.execute("SET TimeZone = 'UTC'")
            table_names = _duckdb_tables(db, schema or "main")
            _require_table(table, table_names, url, schema)
            name = f"{ident(schema or 'main')}.{ident(table)}"
            total = int(db.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0])  # noqa: S608
            relation = db.sql(f"SELECT * FROM {name} LIMIT {limits.rows:d}")  # noqa: S608
            rows = relation.to_arrow_table()
    except duckdb.Error as error:
        raise SourceError(
            str(error).splitlines()[0],
            where=url,
            fix="close the program that has it open for writing, or copy the file",
        ) from error
    texts, unreadable = as_texts(rows)
    return Sample(
        address=f"{url}#{f'{schema}.' if schema else ''}{table}",
        kind="sql",
        format="table",
        name=table,
        table=texts,
        complete=texts.num_rows == total,
        total=total,
        details={"engine": "duckdb"},
        declared=_types(rows.schema),
        notes=tuple(f"column {n} cannot be delivered: {why}" for n, why in unreadable.items()),
    )


def _duckdb_tables(db: Any, schema: str) -> list[str]:  # noqa: ANN401
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = ?"
    return [str(name) for (name,) in db.execute(query, [schema]).fetchall()]


def _types(schema: pa.Schema) -> Mapping[str, str]:
    return {field.name: str(field.type) for field in schema}
