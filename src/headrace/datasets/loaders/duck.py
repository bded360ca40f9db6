"""Query the parts of a release with DuckDB: out of core, with column and filter pushdown."""

import tempfile
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.core.clock import iso
from headrace.core.errors import DeclarationError
from headrace.core.sql import ident, literal
from headrace.datasets.loaders.row_filter import LISTED, NULLNESS, FilterTerm

if TYPE_CHECKING:
    import duckdb

    from headrace.datasets.loaders.scan import Scan

DATASET = "dataset"


def query(scans: "dict[str, Scan]", text: str) -> pa.Table:
    """Result of the query `text` over the views `scans`.

    Raises:
        DeclarationError: DuckDB cannot parse or bind the query.
    """
    import duckdb

    with tempfile.TemporaryDirectory(prefix="headrace-") as spill, duckdb.connect() as connection:
        connection.execute("SET python_enable_replacements = false")
        connection.execute(f"SET temp_directory = {literal(spill)}")
        _views(connection, scans)
        try:
            return connection.sql(text).to_arrow_table()
        except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
            raise DeclarationError(
                str(error), where="sql", fix=f"the views are {', '.join(scans)}"
            ) from error


def relation(scan: "Scan", connection: "duckdb.DuckDBPyConnection") -> Any:  # noqa: ANN401
    """A lazy relation over the rows of `scan`, in the caller's `connection`."""
    connection.execute("SET TimeZone = 'UTC'")
    return _rows(connection, scan)


def _views(connection: "duckdb.DuckDBPyConnection", scans: "dict[str, Scan]") -> None:
    connection.execute("SET TimeZone = 'UTC'")
    for name, scan in scans.items():
        _rows(connection, scan).create_view(name)


def _rows(connection: "duckdb.DuckDBPyConnection", scan: "Scan") -> Any:  # noqa: ANN401
    parts = scan.parts()
    if scan.where.expressions or not parts:
        # Only pyarrow can evaluate pyarrow expressions. Without parts, no file provides the schema.
        return connection.from_arrow(scan.table())
    paths = [str(scan.path(part)) for part in parts]
    rows = connection.read_parquet(paths)
    if scan.where:
        rows = rows.filter(_sql(scan.where.terms, scan.types))
    return rows.select(", ".join(map(ident, scan.columns)))


def _sql(terms: Iterable[FilterTerm], types: dict[str, str]) -> str:
    return " AND ".join(f"({_of_term(term, types[term.column])})" for term in terms)


def _of_term(term: FilterTerm, kind: str) -> str:
    column = ident(term.column)
    if term.op in NULLNESS:
        return f"{column} {term.op.upper()}"
    values = [_LITERALS.get(kind, literal)(value) for value in term.values]
    if term.op in LISTED:
        if not values:
            return "FALSE" if term.op == "in" else f"{column} IS NOT NULL"
        condition = f"{column} {term.op.upper()} ({', '.join(values)})"
    else:
        condition = f"{column} {'<>' if term.op == '!=' else term.op} {values[0]}"
    # DuckDB treats NaN as the largest number and equal to itself; our conditions do neither.
    if kind != "float64":
        return condition
    return (
        f"{condition} OR isnan({column})"
        if term.op in {"!=", "not in"}
        else (f"{condition} AND NOT isnan({column})")
    )


_LITERALS: dict[str, Callable[[Any], str]] = {
    "timestamp": lambda us: f"CAST({literal(iso(us))} AS TIMESTAMPTZ)",
    "local_timestamp": lambda us: f"CAST({literal(iso(us).removesuffix('Z'))} AS TIMESTAMP)",
    "date": lambda day: f"CAST({literal(day.isoformat())} AS DATE)",
    "binary": lambda data: f"from_hex({literal(data.hex())})",
}
