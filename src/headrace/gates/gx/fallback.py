"""Checks that are delegated to Great Expectations, which runs them on its pandas engine.

Importing the library takes seconds, so it is imported only if a suite needs it. It is called once
per batch for all delegated checks. If an expectation crashes in the library, it is reported as an
error, never as a failed check.
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


Select = Callable[[list[str]], pa.Table]  # returns all rows of the batch with the given columns


def answered(
    findings: Sequence[RuleFinding], names: Sequence[str], select: Select
) -> list[RuleFinding]:
    """Replace the findings of delegated rules by the results of Great Expectations.

    Args:
        findings: one finding for every rule.
        names: the batch's columns.
        select: returns the batch's rows; not called if no rule is delegated.
    """
    rules = [f.rule for f in findings if f.rule.kwargs is not None and not f.rule.error]
    answers = {f.rule.id: f for part in _rounds(rules) for f in _answers(part, names, select)}
    return [answers.get(finding.rule.id, finding) for finding in findings]


def _rounds(rules: Sequence[PlannedRule]) -> Iterator[list[PlannedRule]]:
    """Split rules into rounds; no round has two rules of the same type and columns.

    Great Expectations would confuse such rules.
    """
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
    """Describe a failure by the counts or the observed value in the answer."""
    what = rule.type.removeprefix("expect_").replace("_", " ")
    if answer.get("unexpected_count") is not None:
        looked_at = answer["element_count"] - (answer.get("missing_count") or 0)
        values = answer.get("partial_unexpected_list") or ()
        example = f", as {format_stored(values[0], rule.scale)}" if values else ""
        return f"{answer['unexpected_count']} of {looked_at} rows fail '{what}'{example}"
    return f"'{what}' does not hold: found {answer.get('observed_value')}"


class GxBatch:
    """Batch loaded in Great Expectations."""

    def __init__(self, table: pa.Table) -> None:
        with _LOCK, _quiet():
            self.library, self.classes, definition = _library()
            frame = table.to_pandas()
            self.batch = definition.get_batch(batch_parameters={"dataframe": frame})

    def ask(self, cases: Sequence[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
        """Run each (type, kwargs); return success, result fields and the `crash` message or ""."""
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
        """Return the library's expectation object, or an error message if it refuses the kwargs."""
        try:
            with _quiet():
                return getattr(self.classes, _class_name(kind))(**kwargs, meta={"case": number})
        except Exception as wrong:  # noqa: BLE001 - the library raises many types
            return f"{type(wrong).__name__}: {wrong}"


def _class_name(kind: str) -> str:
    return _CLASS_NAMES.get(kind) or "".join(part.capitalize() for part in kind.split("_"))


def _flat(answer: dict[str, Any]) -> dict[str, Any]:
    return {"success": answer["success"], "crash": _raised(answer), **(answer["result"] or {})}


def _raised(answer: Mapping[str, Any]) -> str:
    """Return the first line of an answer's exception; empty if there is none.

    The library stores the exception directly in the answer, or under each metric.
    """
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
    """Return the library, its expectation classes, and a batch definition for pandas frames."""
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
