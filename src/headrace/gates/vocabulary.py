"""The expectation types that compile, by name: which kwargs they take and what they become.

Each equals Great Expectations' pandas engine in success, counts and observed value; NaN is null,
nulls are left out of row-level checks, `mostly` is a share of what is left. To add one: write its
builder in `row_checks` or `column_checks`, name it here, give it cases in the conformance test.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from headrace.errors import DeclarationError
from headrace.gates import column_checks, row_checks
from headrace.gates.check import Check, Scope
from headrace.gates.columns import Columns
from headrace.gates.condition import condition_columns, condition_sql

__all__ = ["VOCABULARY", "Check", "ExpectationType", "compile_check"]

Builder = Callable[[Mapping[str, Any], Columns, Scope], Check]
_LIMITS = ("min_value", "max_value", "strict_min", "strict_max")
_CONDITION = ("row_condition", "condition_parser")
_COLUMN_KEYS = ("column", "column_A", "column_B")


@dataclass(frozen=True)
class ExpectationType:
    build: Builder
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    row_level: bool = False

    @property
    def known(self) -> tuple[str, ...]:
        mostly = ("mostly",) if self.row_level else ()
        return (*self.required, *self.optional, *mostly, *_CONDITION)

    def check_kwargs(self, kwargs: object, where: str) -> None:
        """DeclarationError for a missing or unknown kwarg, or a value that can never be right."""
        if not isinstance(kwargs, Mapping):
            raise DeclarationError(f"kwargs is {kwargs!r}", where=where, fix="write a mapping")
        unknown = sorted(str(key) for key in kwargs if key not in self.known)
        if unknown:
            raise DeclarationError(
                f"unknown kwarg {', '.join(unknown)}", where=where, fix=f"use only {self.known}"
            )
        missing = [key for key in self.required if kwargs.get(key) is None]
        if missing:
            raise DeclarationError(f"kwarg {missing[0]!r} is missing", where=where, fix="add it")
        self._check_common(kwargs, where)

    def _check_common(self, kwargs: Mapping[str, Any], where: str) -> None:
        mostly = kwargs.get("mostly", 1)
        if isinstance(mostly, bool) or not isinstance(mostly, int | float) or not 0 <= mostly <= 1:
            raise DeclarationError(
                f"mostly is {mostly!r}", where=where, fix="write a share from 0 to 1"
            )
        condition = kwargs.get("row_condition")
        if condition is not None:
            condition_columns(condition)
            if kwargs.get("condition_parser") != "pandas":
                raise DeclarationError(
                    "row_condition has no condition_parser",
                    where=where,
                    fix="add condition_parser: pandas",
                )

    def columns(self, kwargs: Mapping[str, Any]) -> tuple[str, ...]:
        """The columns a check is about, for its name and its samples."""
        named = [kwargs[key] for key in _COLUMN_KEYS if key in kwargs]
        return (*named, *kwargs.get("column_list", ()))


def compile_check(kind: str, kwargs: Mapping[str, Any], columns: Columns) -> Check:
    """The check of one expectation over columns that are known by name and type.

    Raises:
        MissingColumnError: a column it names is not there.
        DeclarationError: a constant or a type that does not fit.
    """
    condition = kwargs.get("row_condition")
    scope = Scope(
        where="" if condition is None else condition_sql(condition, columns),
        words="" if condition is None else f" where {condition}",
        mostly=float(kwargs.get("mostly", 1)),
    )
    return VOCABULARY[kind].build(kwargs, columns, scope)


def _row(build: Builder, *required: str, optional: tuple[str, ...] = ()) -> ExpectationType:
    return ExpectationType(build, required, optional, row_level=True)


def _column(build: Builder, *required: str, optional: tuple[str, ...] = _LIMITS) -> ExpectationType:
    return ExpectationType(build, required, optional)


VOCABULARY: dict[str, ExpectationType] = {
    # rows
    "expect_column_values_to_not_be_null": _row(row_checks.not_null, "column"),
    "expect_column_values_to_be_null": _row(row_checks.null, "column"),
    "expect_column_values_to_be_between": _row(row_checks.between, "column", optional=_LIMITS),
    "expect_column_values_to_be_in_set": _row(row_checks.in_set, "column", "value_set"),
    "expect_column_values_to_not_be_in_set": _row(row_checks.not_in_set, "column", "value_set"),
    "expect_column_values_to_match_regex": _row(row_checks.match_regex, "column", "regex"),
    "expect_column_values_to_not_match_regex": _row(row_checks.not_match_regex, "column", "regex"),
    "expect_column_value_lengths_to_be_between": _row(
        row_checks.lengths_between, "column", optional=_LIMITS
    ),
    "expect_column_value_lengths_to_equal": _row(row_checks.lengths_equal, "column", "value"),
    "expect_column_values_to_be_unique": _row(row_checks.unique, "column"),
    "expect_compound_columns_to_be_unique": _row(
        row_checks.compound_unique, "column_list", optional=("ignore_row_if",)
    ),
    "expect_column_pair_values_a_to_be_greater_than_b": _row(
        row_checks.pair_greater, "column_A", "column_B", optional=("or_equal", "ignore_row_if")
    ),
    "expect_column_pair_values_to_be_equal": _row(
        row_checks.pair_equal, "column_A", "column_B", optional=("ignore_row_if",)
    ),
    # columns and tables
    "expect_table_row_count_to_be_between": _column(column_checks.row_count_between),
    "expect_table_row_count_to_equal": _column(column_checks.row_count_equal, "value", optional=()),
    "expect_table_columns_to_match_set": _column(
        column_checks.columns_match_set, "column_set", optional=("exact_match",)
    ),
    "expect_column_to_exist": _column(column_checks.column_exists, "column", optional=()),
    "expect_column_mean_to_be_between": _column(column_checks.mean, "column"),
    "expect_column_median_to_be_between": _column(column_checks.median, "column"),
    "expect_column_stdev_to_be_between": _column(column_checks.stdev, "column"),
    "expect_column_sum_to_be_between": _column(column_checks.total, "column"),
    "expect_column_min_to_be_between": _column(column_checks.minimum, "column"),
    "expect_column_max_to_be_between": _column(column_checks.maximum, "column"),
    "expect_column_unique_value_count_to_be_between": _column(column_checks.unique_count, "column"),
    "expect_column_proportion_of_unique_values_to_be_between": _column(
        column_checks.unique_share, "column"
    ),
    "expect_column_proportion_of_non_null_values_to_be_between": _column(
        column_checks.non_null_share, "column"
    ),
    "expect_column_distinct_values_to_be_in_set": _column(
        column_checks.distinct_in_set, "column", "value_set", optional=()
    ),
}
