"""`row_condition`: a filter of the rows that a check examines, in a subset of pandas' query syntax.

    origin == "EWR" and distance > 500
    status in ["arrived", "cancelled"] and tailnum.notnull()

A condition may contain `and`, `or`, brackets, comparisons of a column with a constant
(== != < <= > >= in), `.isnull()` and `.notnull()`. Nulls behave as in pandas: `!=` with a null is
true, every other comparison is false.
"""

import ast
from typing import TYPE_CHECKING

from headrace.core.errors import DeclarationError
from headrace.core.sql import ident

if TYPE_CHECKING:
    from headrace.gates.checks.column_context import Columns

_SYMBOLS = {ast.Eq: "=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


def _refuse(text: str) -> DeclarationError:
    return DeclarationError(
        f"row_condition {text!r} is outside the supported subset",
        fix="compare columns with constants (== != < <= > >= in, .isnull(), .notnull()), "
        "joined by and / or",
    )


def condition_columns(text: str) -> tuple[str, ...]:
    """Return the names of the columns in a condition, without duplicates."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as broken:
        raise _refuse(text) from broken
    return tuple(dict.fromkeys(n.id for n in ast.walk(tree) if isinstance(n, ast.Name)))


def condition_sql(text: str, columns: "Columns") -> str:
    """Translate a condition to a SQL predicate that is never null."""
    condition_columns(text)
    return _boolean(ast.parse(text.strip(), mode="eval").body, columns, text)


def _boolean(node: ast.expr, columns: "Columns", text: str) -> str:
    match node:
        case ast.BoolOp(op=joiner, values=values):
            word = " AND " if isinstance(joiner, ast.And) else " OR "
            return "(" + word.join(_boolean(value, columns, text) for value in values) + ")"
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=test), args=[], keywords=[]):
            return _null_test(columns.require(name), test, text)
        case ast.Compare(left=ast.Name(id=name), ops=[operator], comparators=[right]):
            return _compare(columns.require(name), operator, right, columns, text)
    raise _refuse(text)


def _null_test(name: str, test: str, text: str) -> str:
    if test not in {"isnull", "notnull"}:
        raise _refuse(text)
    return f"({ident(name)} IS {'NOT ' if test == 'notnull' else ''}NULL)"


def _compare(name: str, operator: ast.cmpop, right: ast.expr, columns: "Columns", text: str) -> str:
    try:
        value = ast.literal_eval(right)
    except ValueError as broken:
        raise _refuse(text) from broken
    if isinstance(operator, ast.In) and isinstance(value, list | tuple) and value:
        options = ", ".join(columns.constant(name, option) for option in value)
        return f"coalesce({ident(name)} IN ({options}), FALSE)"
    if isinstance(operator, ast.NotEq):
        return f"({ident(name)} IS DISTINCT FROM {columns.constant(name, value)})"
    if type(operator) not in _SYMBOLS:
        raise _refuse(text)
    symbol = _SYMBOLS[type(operator)]
    return f"coalesce({ident(name)} {symbol} {columns.constant(name, value)}, FALSE)"
