"""Loaders for Polars and Hugging Face `datasets`, with projection and predicate pushdown."""

import functools
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

from headrace.core.errors import DeclarationError
from headrace.datasets.loaders.row_filter import LISTED, NULLNESS, FilterTerm

if TYPE_CHECKING:
    from headrace.datasets.loaders.scan import Scan

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def library(module: str, extra: str) -> Any:  # noqa: ANN401 - a module without types
    """Import `module`. Raises DeclarationError with the package to install if it is missing."""
    try:
        return import_module(module)
    except ImportError as error:
        raise DeclarationError(
            f"{module} is not installed: {error}", fix=f"pip install {extra}"
        ) from error


def polars_frame(scan: "Scan") -> Any:  # noqa: ANN401 - a polars.LazyFrame
    """A polars LazyFrame; polars pushes later selections into its scan as well."""
    pl = library("polars", '"headrace[polars]"')
    parts = scan.parts()
    if scan.where.expressions or not parts:
        # Only pyarrow can evaluate pyarrow expressions. Without parts, no file provides the schema.
        return pl.from_arrow(scan.table()).lazy()
    paths = [scan.path(part) for part in parts]
    frame = pl.scan_parquet(paths, glob=False)
    if scan.where:
        frame = frame.filter(list(_polars_terms(pl, scan.where.terms, scan.types)))
    return frame.select(list(scan.columns))


def _polars_terms(pl: Any, terms: Iterable[FilterTerm], types: dict[str, str]) -> Iterator[Any]:  # noqa: ANN401
    for term in terms:
        yield _polars_term(pl, term, types[term.column])


def _polars_term(pl: Any, term: FilterTerm, kind: str) -> Any:  # noqa: ANN401 - a polars.Expr
    column = pl.col(term.column)
    if term.op in NULLNESS:
        return column.is_null() if term.op == "is null" else column.is_not_null()
    values = [_polars_value(value, kind) for value in term.values]
    unequal = term.op in {"!=", "not in"}
    if term.op in LISTED:
        condition = functools.reduce(
            lambda left, right: left | right,
            [column == value for value in values],
            pl.lit(value=False),
        )
        condition = ~condition & column.is_not_null() if unequal else condition
    else:
        condition = _COMPARE[term.op](column, values[0])
    # Polars treats NaN as the largest number and equal to itself; our conditions do neither.
    if kind != "float64":
        return condition
    return condition | column.is_nan() if unequal else condition & column.is_not_nan()


_COMPARE = {
    "=": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
}


def _polars_value(value: Any, kind: str) -> Any:  # noqa: ANN401 - of the column's dtype
    if kind in {"timestamp", "local_timestamp"}:
        moment = _EPOCH + timedelta(microseconds=value)
        return moment if kind == "timestamp" else moment.replace(tzinfo=None)
    return value


def hugging_face(scan: "Scan", *, streaming: bool = False) -> Any:  # noqa: ANN401
    """A `datasets.Dataset` in memory, or, if `streaming`, an `IterableDataset` over batches."""
    hf = library("datasets", '"headrace[hf]"')
    if streaming:
        return hf.IterableDataset.from_generator(
            _examples, features=hf.Features.from_arrow_schema(scan.schema),
            gen_kwargs={"scan": scan},
        )  # fmt: skip
    return hf.Dataset(hf.table.InMemoryTable(scan.table()))


def _examples(scan: "Scan") -> Iterator[dict[str, Any]]:
    for batch in scan.batches(8192):
        yield from batch.to_pylist()
