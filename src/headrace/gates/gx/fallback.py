"""Checks that are not compiled: Great Expectations itself runs them, on its pandas engine.

Its import costs seconds and its answers milliseconds each, so it is imported only if a suite needs
it, and called once per batch for all such checks. An expectation that crashes there is an error
here, never a failed check.
"""

import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.core.errors import HeadraceError
from headrace.core.main_module import as_a_program
from headrace.gates.checks.check import Outcome
from headrace.gates.checks.row_condition import condition_columns
from headrace.gates.contract_units import format_stored
from headrace.gates.plan import NO_ROWS, PlannedRule, RuleFinding

INSTALL = "pip install 'headrace[gx]'"
_LOCK = threading.Lock()
_CLASS_NAMES = {
    "expect_column_kl_divergence_to_be_less_than": "ExpectColumnKLDivergenceToBeLessThan"
}


class NotInstalledError(HeadraceError):
    """Great Expectations is not installed."""


Select = Callable[[list[str]], pa.Table]  # all rows of the batch, with these of its columns


def answered(
    findings: Sequence[RuleFinding], names: Sequence[str], select: Select
) -> list[RuleFinding]:
    """Return the findings, with answers for the rules that are not compiled.

    Args:
        findings: of every rule.
        names: the batch's columns.
        select: returns the batch's rows; not called if every rule is compiled.
    """
    rules = [f.rule for f in findings if f.rule.kwargs is not None and not f.rule.error]
    answers = {f.rule.id: f for part in _rounds(rules) for f in _answers(part, names, select)}
    return [answers.get(finding.rule.id, finding) for finding in findings]


def _rounds(rules: Sequence[PlannedRule]) -> Iterator[list[PlannedRule]]:
    """Yield rounds without two rules of one type and columns: the library would mix them up."""
    pending = list(rules)
    while pending:
        batch = {(rule.type, rule.columns): rule for rule in reversed(pending)}
        yield list(batch.values())
        pending = [rule for rule in pending if batch[rule.type, rule.columns] is not rule]


def _answers(
    rules: Sequence[PlannedRule], names: Sequence[str], select: Select
) -> list[RuleFinding]:
    needed = {name for rule in rules for name in _columns(rule)}
    try:
        reference = GxBatch(select([name for name in names if name in needed]))
        answers = reference.ask([(rule.type, rule.kwargs or {}) for rule in rules])
    except Exception as crash:  # noqa: BLE001 - after any crash, the batch must not pass
        reason = _crash(crash)
        return [RuleFinding(rule, None, NO_ROWS, reason) for rule in rules]
    return [_finding(rule, answer) for rule, answer in zip(rules, answers, strict=True)]


def _crash(crash: Exception) -> str:
    if isinstance(crash, NotInstalledError):
        return f"{crash.what}; {crash.fix}"
    return f"{type(crash).__name__}: {crash}"


def _columns(rule: PlannedRule) -> tuple[str, ...]:
    condition = (rule.kwargs or {}).get("row_condition")
    return (*rule.columns, *(condition_columns(condition) if condition else ()))


def _finding(rule: PlannedRule, answer: Mapping[str, Any]) -> RuleFinding:
    if answer["crash"]:
        return RuleFinding(rule, None, NO_ROWS, f"Great Expectations: {answer['crash']}")
    rows = answer.get("unexpected_index_list") or ()
    outcome = Outcome(
        bool(answer["success"]),
        observed=answer.get("observed_value"),
        elements=answer.get("element_count"),
        missing=answer.get("missing_count"),
        unexpected=answer.get("unexpected_count"),
        reason=_reason(rule, answer),
    )
    return RuleFinding(rule, outcome, NO_ROWS if outcome.success else np.array(rows, np.int64))


def _reason(rule: PlannedRule, answer: Mapping[str, Any]) -> str:
    """Return the reason of a failure, from the counts or the value of the answer."""
    what = rule.type.removeprefix("expect_").replace("_", " ")
    if answer.get("unexpected_count") is not None:
        looked_at = answer["element_count"] - (answer.get("missing_count") or 0)
        values = answer.get("partial_unexpected_list") or ()
        example = f", as {format_stored(values[0], rule.scale)}" if values else ""
        return f"{answer['unexpected_count']} of {looked_at} rows fail '{what}'{example}"
    return f"'{what}' does not hold: found {answer.get('observed_value')}"


class GxBatch:
    """Batch in Great Expectations."""

    def __init__(self, table: pa.Table) -> None:
        with _LOCK, _quiet():
            self.library, self.classes, definition = _library()
            frame = table.to_pandas()
            self.batch = definition.get_batch(batch_parameters={"dataframe": frame})

    def ask(self, cases: Sequence[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
        """Return success, result fields and the `crash`, if any, of each (type, kwargs)."""
        expectations = [self._expectation(number, *case) for number, case in enumerate(cases)]
        valid = [expectation for expectation in expectations if not isinstance(expectation, str)]
        with _LOCK, _quiet():
            suite = self.library.ExpectationSuite(name="suite", expectations=valid)
            answers = self.batch.validate(suite, result_format="COMPLETE").to_json_dict()["results"]
        by_case = {a["expectation_config"]["meta"]["case"]: a for a in answers}
        return [
            {"success": False, "crash": expectation}
            if isinstance(expectation, str)
            else _flat(by_case[number])
            for number, expectation in enumerate(expectations)
        ]

    def _expectation(self, number: int, kind: str, kwargs: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """Return the library's own expectation, or the error of its kwargs."""
        try:
            with _quiet():
                return getattr(self.classes, _class_name(kind))(**kwargs, meta={"case": number})
        except Exception as wrong:  # noqa: BLE001 - of the library's own kinds
            return f"{type(wrong).__name__}: {wrong}"


def _class_name(kind: str) -> str:
    return _CLASS_NAMES.get(kind) or "".join(part.capitalize() for part in kind.split("_"))


def _flat(answer: dict[str, Any]) -> dict[str, Any]:
    return {"success": answer["success"], "crash": _raised(answer), **(answer["result"] or {})}


def _raised(answer: Mapping[str, Any]) -> str:
    """Return the exception of an answer, in a line. The library has it directly, or by metric."""
    raised = answer.get("exception_info") or {}
    for info in (raised, *(value for value in raised.values() if isinstance(value, dict))):
        if info.get("raised_exception"):
            lines = str(info.get("exception_message") or "it crashed").strip().splitlines()
            return lines[0] if lines else "it crashed"
    return ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the library's own warnings, which do not concern the gate."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def _library() -> tuple[Any, Any, Any]:
    """Return the library, its expectation classes, and a batch definition that takes a frame."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # no network calls from a gate
    with as_a_program():
        try:
            import great_expectations as gx
            import great_expectations.expectations as classes
        except ImportError as missing:
            raise NotInstalledError(
                f"Great Expectations is needed and cannot be imported ({missing})", fix=INSTALL
            ) from missing
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        asset = context.data_sources.add_pandas("source").add_dataframe_asset("asset")
        return gx, classes, asset.add_batch_definition_whole_dataframe("batch")
