"""Rewrite of a suite's file, with limits converted to the contract's units."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.contracts import Contract
from headrace.contracts.authoring.editing import Edited
from headrace.core.declarations.strict_yaml import parse_document
from headrace.core.errors import DeclarationError
from headrace.gates.contract_units import CONTRACT, converted, scales_of, to_contract
from headrace.gates.suite import Suite
from headrace.gates.suite_reader import fitted, parse_suite

_UNITS = ("meta", "units")


@dataclass(frozen=True)
class SuiteRewrite:
    """Text of a suite's file before and after conversion.

    Each change is (check id, kwarg, old value, new value).
    """

    path: Path
    old: str
    new: str
    changes: tuple[tuple[str, str, Any, Any], ...]

    def document(self) -> dict[str, Any]:
        names = ("check", "kwarg", "old", "new")
        changes = [dict(zip(names, change, strict=True)) for change in self.changes]
        return {"path": str(self.path), "changed": self.old != self.new, "changes": changes}


def conversion(suite: Suite, contract: Contract) -> SuiteRewrite:
    """Convert the text of a suite's file to the contract's units; comments and order are kept.

    The converted suite is checked to have the same hash, so every verdict stays the same.

    Raises:
        DeclarationError: the suite has a fault, or a limit cannot be converted exactly.
    """
    path = Path(suite.path)
    text = path.read_text(encoding="utf-8")
    scales = scales_of(contract)
    if suite.written == CONTRACT or not scales:
        return SuiteRewrite(path, text, text, ())
    suite.sound()
    edited, changes = Edited(text), []
    for place, expectation in enumerate(suite.expectations):
        kwargs = _converted(suite, expectation.id, expectation.type, expectation.kwargs, scales)
        for key, value in kwargs.items():
            if value != expectation.kwargs[key] or type(value) is not type(expectation.kwargs[key]):
                edited.set("expectations", place, "kwargs", key, to=value)
                changes.append((expectation.id, key, expectation.kwargs[key], value))
    edited.set(*_UNITS, to=CONTRACT)
    rewritten = fitted(parse_suite(parse_document(edited.text, path).value), contract)
    before = fitted(suite, contract)
    if (rewritten.hash, rewritten.shadow_hash) != (before.hash, before.shadow_hash):
        changed = [
            old.id
            for old, new in zip(before.expectations, rewritten.expectations, strict=True)
            if old.document() != new.document()
        ]
        raise DeclarationError(
            f"converting {', '.join(changed)} to the contract's units would change the check",
            where=str(path),
            fix="write its numbers without exponents, then convert again",
        )
    return SuiteRewrite(path, text, edited.text, tuple(changes))


def _converted(
    suite: Suite, check: str, kind: str, kwargs: Mapping[str, Any], scales: Mapping[str, int]
) -> Mapping[str, Any]:
    try:
        return converted(kind, kwargs, scales, to_contract)
    except DeclarationError as wrong:
        raise DeclarationError(wrong.what, where=f"{suite.path}, {check}", fix=wrong.fix) from wrong
