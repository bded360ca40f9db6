"""What is not compiled is asked of Great Expectations itself, on its pandas engine.

Its import costs seconds and its answers milliseconds each, so it is imported where a suite needs
it, and asked once a batch for all such checks. An expectation that crashes there is an error here,
never a failed check.
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
from headrace.gates.plan import NO_ROWS, PlannedRule, RuleFinding
from headrace.gates.units import format_stored

INSTALL = "pip install 'headrace[gx]'"
_LOCK = threading.Lock()
_CLASS_NAMES = {
    "expect_column_kl_divergence_to_be_less_than": "ExpectColumnKLDivergenceToBeLessThan"
}


class NotInstalledError(HeadraceError):
    """Great Expectations is not there."""


Select = Callable[[list[str]], pa.Table]  # all rows of the batch, with these of its columns


def answered(
    findings: Sequence[RuleFinding], names: Sequence[str], select: Select
) -> list[RuleFinding]:
    """The findings, with answers for the rules that are not compiled.

    Args:
        findings: of every rule.
        names: the batch's columns.
        select: gives the batch's rows; not called if every rule is compiled.
    """
    asked = [f.rule for f in findings if f.rule.kwargs is not None and not f.rule.error]
    answers = {f.rule.id: f for part in _rounds(asked) for f in _answers(part, names, select)}
    return [answers.get(finding.rule.id, finding) for finding in findings]


def _rounds(rules: Sequence[PlannedRule]) -> Iterator[list[PlannedRule]]:
    """No two of one type on the same columns at once: the library takes one's numbers for both."""
    left = list(rules)
    while left:
        taken = {(rule.type, rule.columns): rule for rule in reversed(left)}
        yield list(taken.values())
        left = [rule for rule in left if taken[rule.type, rule.columns] is not rule]


def _answers(
    rules: Sequence[PlannedRule], names: Sequence[str], select: Select
) -> list[RuleFinding]:
    named = {name for rule in rules for name in _columns(rule)}
    try:
        reference = Reference(select([name for name in names if name in named]))
        told = reference.ask([(rule.type, rule.kwargs or {}) for rule in rules])
    except Exception as crash:  # noqa: BLE001 - whatever it dies of, the batch must not pass
        reason = _crash(crash)
        return [RuleFinding(rule, None, NO_ROWS, reason) for rule in rules]
    return [_finding(rule, answer) for rule, answer in zip(rules, told, strict=True)]


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
    """In the words that the answer allows: it gives counts, or a value."""
    what = rule.type.removeprefix("expect_").replace("_", " ")
    if answer.get("unexpected_count") is not None:
        looked_at = answer["element_count"] - (answer.get("missing_count") or 0)
        values = answer.get("partial_unexpected_list") or ()
        some = f", as {format_stored(values[0], rule.scale)}" if values else ""
        return f"{answer['unexpected_count']} of {looked_at} rows fail '{what}'{some}"
    return f"'{what}' does not hold: found {answer.get('observed_value')}"


class Reference:
    """One batch as Great Expectations sees it."""

    def __init__(self, table: pa.Table) -> None:
        with _LOCK, _quiet():
            self.library, self.classes, definition = _library()
            frame = table.to_pandas()
            self.batch = definition.get_batch(batch_parameters={"dataframe": frame})

    def ask(self, cases: Sequence[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
        """Of each (type, kwargs): success, the fields of the result, and what it `crash`ed of."""
        made = [self._made(number, *case) for number, case in enumerate(cases)]
        asked = [one for one in made if not isinstance(one, str)]
        with _LOCK, _quiet():
            suite = self.library.ExpectationSuite(name="suite", expectations=asked)
            answers = self.batch.validate(suite, result_format="COMPLETE").to_json_dict()["results"]
        by_case = {a["expectation_config"]["meta"]["case"]: a for a in answers}
        return [
            {"success": False, "crash": one} if isinstance(one, str) else _flat(by_case[number])
            for number, one in enumerate(made)
        ]

    def _made(self, number: int, kind: str, kwargs: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """The library's own expectation, or what is wrong with its kwargs."""
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
    """What it died of, in a line. The library tells it plainly, or by metric."""
    raised = answer.get("exception_info") or {}
    for one in (raised, *(value for value in raised.values() if isinstance(value, dict))):
        if one.get("raised_exception"):
            lines = str(one.get("exception_message") or "it crashed").strip().splitlines()
            return lines[0] if lines else "it crashed"
    return ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Warnings that the library raises on its own account are no concern of a gate."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def _library() -> tuple[Any, Any, Any]:
    """(the library, its expectation classes, a batch definition that takes a frame)."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # a gate calls nobody
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
