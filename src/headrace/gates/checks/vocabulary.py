"""Expectation types by name, with their kwargs and the builders of their checks.

Each check gives the same success, counts and observed value as Great Expectations' pandas engine.
NaN counts as null, row-level checks ignore nulls, and `mostly` is a share of the remaining rows. To
add a type, write its builder in one of the modules of checks, add it here, and add cases to the
conformance test.

Types without a builder are delegated to Great Expectations itself (see `gx.fallback`). Types that
its pandas engine does not have are in `ELSEWHERE`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from headrace.core.errors import DeclarationError
from headrace.gates.checks import (
    column_checks,
    pattern_checks,
    record_checks,
    relative_checks,
    row_checks,
    table_checks,
    value_checks,
)
from headrace.gates.checks.check import Check, Scope
from headrace.gates.checks.column_context import Columns
from headrace.gates.checks.row_condition import condition_columns, condition_sql
from headrace.gates.contract_units import condition_in, to_contract

__all__ = ["ELSEWHERE", "VOCABULARY", "Check", "ExpectationType", "compile_check", "scope_of"]

Builder = Callable[[Mapping[str, Any], Columns, Scope], Check]
_LIMITS = ("min_value", "max_value", "strict_min", "strict_max")
_CONDITION = ("row_condition", "condition_parser")
_COLUMN_KEYS = ("column", "column_A", "column_B")


@dataclass(frozen=True)
class ExpectationType:
    """Kwargs and properties of an expectation type.

    Attributes:
        build: builder of the check; None if the type is delegated to Great Expectations.
        required: kwargs that must be given.
        optional: kwargs that may be given.
        row_level: True if the check finds failing rows, which can be quarantined.
        independent: True for a row-level check in which a row's result does not depend on other
            rows.
        sliced: True if the check can run for each category of a column.
    """

    build: Builder | None
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    row_level: bool = False
    independent: bool = False
    sliced: bool = False

    @property
    def compiled(self) -> bool:
        return self.build is not None

    @property
    def allowed_kwargs(self) -> tuple[str, ...]:
        mostly = ("mostly",) if self.row_level else ()
        return (*self.required, *self.optional, *mostly, *_CONDITION)

    def check_kwargs(self, kwargs: object, where: str) -> None:
        """Raise DeclarationError for a missing or unknown kwarg or an invalid value."""
        if not isinstance(kwargs, Mapping):
            raise DeclarationError(f"kwargs is {kwargs!r}", where=where, fix="write a mapping")
        unknown = sorted(str(key) for key in kwargs if key not in self.allowed_kwargs)
        if unknown:
            raise DeclarationError(
                f"unknown kwarg {', '.join(unknown)}",
                where=where,
                fix=f"use only {self.allowed_kwargs}",
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
        """Return the columns that kwargs name; the check's name and samples show them."""
        names = [kwargs[key] for key in _COLUMN_KEYS if key in kwargs]
        return (*names, *kwargs.get("column_list", ()))


def compile_check(kind: str, kwargs: Mapping[str, Any], columns: Columns) -> Check | None:
    """Compile an expectation for columns with these names and types.

    Returns None if the expectation is delegated to Great Expectations.

    Raises:
        MissingColumnError: the expectation names a column that does not exist.
        DeclarationError: a constant or column has a type that the expectation cannot use.
    """
    declared, scope = VOCABULARY[kind], scope_of(kwargs, columns)
    if declared.build is not None:
        return declared.build(kwargs, columns, scope)
    for name in declared.columns(kwargs):
        columns.require(name)
    return None


def scope_of(kwargs: Mapping[str, Any], columns: Columns) -> Scope:
    condition = kwargs.get("row_condition")
    return Scope(
        where="" if condition is None else condition_sql(condition, columns),
        words="" if condition is None else f" where {_words(condition, columns)}",
        mostly=float(kwargs.get("mostly", 1)),
    )


def _words(condition: str, columns: Columns) -> str:
    """Return a `row_condition` with its numbers in the contract's units."""
    return condition_in(condition, columns.scales, to_contract) if columns.scales else condition


def _row(build: Builder, *required: str, optional: tuple[str, ...] = ()) -> ExpectationType:
    """Return a type of row-level checks in which each row is checked on its own."""
    return ExpectationType(build, required, optional, row_level=True, independent=True, sliced=True)


def _relative(build: Builder, *required: str, optional: tuple[str, ...] = ()) -> ExpectationType:
    """Return a type of row-level checks in which a row's result depends on other rows."""
    return ExpectationType(build, required, optional, row_level=True)


def _column(build: Builder, *required: str, optional: tuple[str, ...] = _LIMITS) -> ExpectationType:
    return ExpectationType(build, required, optional, sliced=True)


def _table(build: Builder, *required: str, optional: tuple[str, ...] = ()) -> ExpectationType:
    """Return a type of checks on the whole batch, which cannot be split by category."""
    return ExpectationType(build, required, optional)


def _delegated(
    *required: str, optional: tuple[str, ...] = (), rows: bool = False, independent: bool = True
) -> ExpectationType:
    """Return a type that is delegated to Great Expectations."""
    return ExpectationType(
        None, required, optional, row_level=rows, independent=rows and independent
    )


_IGNORE = ("ignore_row_if",)
_MATCH = ("match_on",)
_ESCAPE = ("escape",)
VOCABULARY: dict[str, ExpectationType] = {
    # the values of a column, row by row
    "expect_column_values_to_not_be_null": _row(row_checks.not_null, "column"),
    "expect_column_values_to_be_null": _row(row_checks.null, "column"),
    "expect_column_values_to_be_between": _row(row_checks.between, "column", optional=_LIMITS),
    "expect_column_values_to_be_in_set": _row(row_checks.in_set, "column", "value_set"),
    "expect_column_values_to_not_be_in_set": _row(row_checks.not_in_set, "column", "value_set"),
    # text
    "expect_column_values_to_match_regex": _row(pattern_checks.match_regex, "column", "regex"),
    "expect_column_values_to_not_match_regex": _row(
        pattern_checks.not_match_regex, "column", "regex"
    ),
    "expect_column_values_to_match_regex_list": _row(
        pattern_checks.match_regex_list, "column", "regex_list", optional=_MATCH
    ),
    "expect_column_values_to_not_match_regex_list": _row(
        pattern_checks.not_match_regex_list, "column", "regex_list"
    ),
    "expect_column_values_to_match_like_pattern": _row(
        pattern_checks.match_like, "column", "like_pattern", optional=_ESCAPE
    ),
    "expect_column_values_to_not_match_like_pattern": _row(
        pattern_checks.not_match_like, "column", "like_pattern", optional=_ESCAPE
    ),
    "expect_column_values_to_match_like_pattern_list": _row(
        pattern_checks.match_like_list, "column", "like_pattern_list", optional=(*_MATCH, *_ESCAPE)
    ),
    "expect_column_values_to_not_match_like_pattern_list": _row(
        pattern_checks.not_match_like_list, "column", "like_pattern_list", optional=_ESCAPE
    ),
    "expect_column_value_lengths_to_be_between": _row(
        pattern_checks.lengths_between, "column", optional=_LIMITS
    ),
    "expect_column_value_lengths_to_equal": _row(pattern_checks.lengths_equal, "column", "value"),
    # several columns of a row
    "expect_column_pair_values_a_to_be_greater_than_b": _row(
        record_checks.pair_greater, "column_A", "column_B", optional=("or_equal", *_IGNORE)
    ),
    "expect_column_pair_values_to_be_equal": _row(
        record_checks.pair_equal, "column_A", "column_B", optional=_IGNORE
    ),
    "expect_column_pair_values_to_be_in_set": _row(
        record_checks.pair_in_set, "column_A", "column_B", "value_pairs_set", optional=_IGNORE
    ),
    "expect_multicolumn_sum_to_equal": _row(
        record_checks.sum_equal, "column_list", "sum_total", optional=_IGNORE
    ),
    "expect_multicolumn_values_to_be_equal": _row(
        record_checks.all_equal, "column_list", optional=_IGNORE
    ),
    "expect_select_column_values_to_be_unique_within_record": _row(
        record_checks.unique_within_record, "column_list", optional=_IGNORE
    ),
    # a row compared with other rows
    "expect_column_values_to_be_unique": _relative(relative_checks.unique, "column"),
    "expect_compound_columns_to_be_unique": _relative(
        relative_checks.compound_unique, "column_list", optional=_IGNORE
    ),
    "expect_column_values_to_be_increasing": _relative(
        relative_checks.increasing, "column", optional=("strictly",)
    ),
    "expect_column_values_to_be_decreasing": _relative(
        relative_checks.decreasing, "column", optional=("strictly",)
    ),
    "expect_column_value_z_scores_to_be_less_than": _relative(
        relative_checks.z_scores, "column", "threshold", "double_sided"
    ),
    # a column as a whole
    "expect_column_mean_to_be_between": _column(column_checks.mean, "column"),
    "expect_column_median_to_be_between": _column(column_checks.median, "column"),
    "expect_column_stdev_to_be_between": _column(column_checks.stdev, "column"),
    "expect_column_sum_to_be_between": _column(column_checks.total, "column"),
    "expect_column_min_to_be_between": _column(column_checks.minimum, "column"),
    "expect_column_max_to_be_between": _column(column_checks.maximum, "column"),
    "expect_column_quantile_values_to_be_between": _table(
        value_checks.quantiles, "column", "quantile_ranges", optional=("allow_relative_error",)
    ),
    "expect_column_unique_value_count_to_be_between": _column(column_checks.unique_count, "column"),
    "expect_column_proportion_of_unique_values_to_be_between": _column(
        column_checks.unique_share, "column"
    ),
    "expect_column_proportion_of_non_null_values_to_be_between": _column(
        column_checks.non_null_share, "column"
    ),
    "expect_column_distinct_values_to_be_in_set": _column(
        value_checks.distinct_in_set, "column", "value_set", optional=()
    ),
    "expect_column_distinct_values_to_contain_set": _column(
        value_checks.distinct_contain_set, "column", "value_set", optional=()
    ),
    "expect_column_distinct_values_to_equal_set": _column(
        value_checks.distinct_equal_set, "column", "value_set", optional=()
    ),
    "expect_column_most_common_value_to_be_in_set": _table(
        value_checks.most_common_in_set, "column", "value_set", optional=("ties_okay",)
    ),
    # the table
    "expect_table_row_count_to_be_between": _column(table_checks.row_count_between),
    "expect_table_row_count_to_equal": _column(table_checks.row_count_equal, "value", optional=()),
    "expect_table_columns_to_match_set": _table(
        table_checks.columns_match_set, "column_set", optional=("exact_match",)
    ),
    "expect_table_columns_to_match_ordered_list": _table(
        table_checks.columns_match_ordered_list, "column_list"
    ),
    "expect_table_column_count_to_be_between": _table(
        table_checks.column_count_between, optional=("min_value", "max_value")
    ),
    "expect_table_column_count_to_equal": _table(table_checks.column_count_equal, "value"),
    "expect_column_to_exist": _table(
        table_checks.column_exists, "column", optional=("column_index",)
    ),
    # delegated to Great Expectations
    "expect_column_values_to_be_json_parseable": _delegated("column", rows=True),
    "expect_column_values_to_match_json_schema": _delegated("column", "json_schema", rows=True),
    "expect_column_values_to_be_dateutil_parseable": _delegated("column", rows=True),
    "expect_column_values_to_match_strftime_format": _delegated(
        "column", "strftime_format", rows=True
    ),
    "expect_column_values_to_not_be_outliers": _delegated(
        "column", optional=("method", "multiplier"), rows=True, independent=False
    ),
    "expect_column_type_to_be": _delegated("column", "type_"),
    "expect_column_values_to_be_of_type": _delegated("column", "type_"),
    "expect_column_values_to_be_in_type_list": _delegated("column", "type_list"),
    "expect_column_kl_divergence_to_be_less_than": _delegated(
        "column",
        "partition_object",
        "threshold",
        optional=("internal_weight_holdout", "tail_weight_holdout", "bucketize_data"),
    ),
}
# Expectation types that Headrace refuses: the reason, and the alternative if there is one.
ELSEWHERE = {
    "unexpected_rows_expectation": "it needs a database; write an invariant in the contract",
    "expect_query_results_to_match_comparison": "it needs two databases",
    "expect_table_row_count_to_equal_other_table": "it needs a second table",
    "expect_multicolumn_values_to_be_unique": (
        "it is withdrawn; use expect_select_column_values_to_be_unique_within_record"
    ),
}
