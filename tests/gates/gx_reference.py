"""Great Expectations' pandas engine, imported once and asked one expectation at a time."""

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import pyarrow as pa

from headrace.gates.columns import Columns
from headrace.gates.engine import run
from headrace.gates.plan import Finding, Plan, Rule
from headrace.gates.vocabulary import compile_check

# Warnings that Great Expectations raises on this stack are its own; ours stay errors.
os.environ["GX_ANALYTICS_ENABLED"] = "false"


@contextmanager
def _as_a_program() -> Iterator[None]:
    """The library imports PySpark, which exits where the main module has no file: in a worker."""
    main = sys.modules["__main__"]
    lacking = not hasattr(main, "__file__")
    if lacking:
        main.__file__ = "-c"
    yield
    if lacking:
        del main.__file__


@cache
def _library() -> tuple[Any, Any, Any]:
    """(the library, its expectation classes, a batch definition that takes a frame)."""
    with _as_a_program(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx
        import great_expectations.expectations as classes

        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        asset = context.data_sources.add_pandas("source").add_dataframe_asset("asset")
        return gx, classes, asset.add_batch_definition_whole_dataframe("batch")


class Reference:
    """One batch as the reference sees it."""

    def __init__(self, table: pa.Table) -> None:
        self.library, self.classes, definition = _library()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame = table.to_pandas()
            self.batch = definition.get_batch(batch_parameters={"dataframe": frame})

    def ask(self, cases: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
        """Of each (type, kwargs): success, crashed, and the fields of the result."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            asked = [
                getattr(self.classes, _class_name(kind))(**kwargs, meta={"case": number})
                for number, (kind, kwargs) in enumerate(cases)
            ]
            suite = self.library.ExpectationSuite(name="suite", expectations=asked)
            answers = self.batch.validate(suite, result_format="COMPLETE").to_json_dict()["results"]
        by_case = {a["expectation_config"]["meta"]["case"]: a for a in answers}
        return [_flat(by_case[number]) for number in range(len(cases))]


def _class_name(kind: str) -> str:
    return "".join(part.capitalize() for part in kind.split("_"))


def _flat(answer: dict[str, Any]) -> dict[str, Any]:
    raised = answer.get("exception_info") or {}
    nested = any(isinstance(v, dict) and v.get("raised_exception") for v in raised.values())
    crashed = bool(raised.get("raised_exception")) or nested
    return {"success": answer["success"], "crashed": crashed, **answer["result"]}


def ours(table: pa.Table, cases: Sequence[tuple[str, dict[str, Any]]]) -> list[Finding]:
    """What each compiled expectation finds, all of them in one plan."""
    rules = []
    for kind, kwargs in cases:
        check = compile_check(kind, kwargs, Columns(table.schema))
        rules.append(
            Rule("id", "expectation", kind, check.columns, "critical", "quarantine", "", check)
        )
    return run(Plan.over(rules, table.schema), table, sample=20)
