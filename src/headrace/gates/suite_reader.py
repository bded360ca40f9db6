"""Readers of suites: a tolerant one for runs and a strict one for tests and CI.

In a run, an invalid suite must not stop other tables. So `load_suite` always returns a suite: each
error in the file becomes a fault, and every batch gets the verdict ERROR with the cause. A fault
in one check does not affect the others. `read_suite` and `headrace gate lint` raise for the first
fault.
"""

import difflib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from headrace.contracts import Contract
from headrace.contracts.drift.findings import ACTIONS as CHANGES
from headrace.core.declarations.strict_yaml import Key, Keys, choice, read_document
from headrace.core.declarations.yaml_lines import with_line
from headrace.core.errors import DeclarationError
from headrace.gates.checks.column_context import Columns
from headrace.gates.checks.per_category import MAX_LEVELS, Slices, parse_slices
from headrace.gates.checks.vocabulary import ELSEWHERE, VOCABULARY
from headrace.gates.contract_units import CONTRACT, STORED, scales_of
from headrace.gates.suite import (
    ACTIONS,
    CHANGE_ACTIONS,
    SEVERITIES,
    Expectation,
    Fault,
    Suite,
)

Document = Any  # a parsed YAML or JSON value whose structure has not been checked yet
_DEFAULT_ACTION = {"critical": "block", "warning": "warn", "info": "warn"}
SUITE = Keys((
    Key("name", "text", "Name of the suite.", required=True),
    Key("meta", "mapping", "Table and settings of the suite.", required=True),
    Key("expectations", "list of expectations", "Checks of every batch.", default="none"),
    Key("notes", "anything", "Not read by Headrace."),
))  # fmt: skip
SUITE_META = Keys((
    Key("table", "text", "Table that the suite is for.", required=True),
    Key("version", "whole number", "Version of the suite. Changing it re-validates every "
        "batch.", default="`1`"),
    Key("max_quarantined_share", "number, 0 to 1", "A batch with a larger share of quarantined "
        "rows is blocked.", default=f"`{Suite.max_quarantined_share}`"),
    Key("shadow", "boolean", "Run all checks in shadow mode: without effect on verdicts.",
        default="`false`"),
    Key("semantic", "mapping from kind of change, or `kind:column`, to action",
        "Effect of a semantic change on the batch, if it is not the default of its kind."),
    Key("units", f"`{CONTRACT}`", "Limits are in the units of the contract.",
        default="limits are in the units in which the table stores values"),
    Key("owner", "text", "Not read by Headrace."),
    Key("notes", "anything", "Not read by Headrace."),
))  # fmt: skip
EXPECTATION = Keys((
    Key("type", "an expectation type", "Check to run.", required=True),
    Key("kwargs", "mapping", "Arguments of the check, as in Great Expectations.", default="none"),
    Key("severity", choice(SEVERITIES), "Severity of a failure.", default="`critical`"),
    Key("meta", "mapping", "Settings of the check."),
))  # fmt: skip
EXPECTATION_META = Keys((
    Key("id", "text", "Name of the check in history, mutes and approvals. Must be unique.",
        default="the type without `expect_`, and its columns"),
    Key("action", choice(ACTIONS), "Effect of a failure: block the batch, quarantine the failing "
        "rows (row-level checks only), or warn.",
        default="; ".join(f"`{action}` if {name}" for name, action in _DEFAULT_ACTION.items())),
    Key("reason", "text", "Why the check exists; reports show it."),
    Key("shadow", "boolean", "Run and report the check, without effect on the verdict.",
        default="`false`"),
    Key("owner", "text", "Not read by Headrace."),
    Key("notes", "anything", "Not read by Headrace."),
    Key("by", "name of a column", "Run the check for each value of this column."),
    Key("min_rows", "whole number from 1", "With `by`: ignore values with fewer rows.",
        default="`1`"),
    Key("max_levels", "whole number from 1", "With `by`: a batch with more values gets ERROR.",
        default=f"`{MAX_LEVELS}`"),
))  # fmt: skip


def load_suite(path: Path | str, contract: Contract | None = None) -> Suite:
    """Read a suite without raising; its errors are in `Suite.faults`.

    Args:
        path: a YAML file in the form described in `headrace.gates.suite`.
        contract: the contract of the suite's table; if given, each check must also fit its fields.
    """
    path = Path(path)
    try:
        suite = _parsed(read_document(path).value, str(path))
    except Exception as wrong:  # noqa: BLE001 - a broken file must not stop other tables
        table = path.stem if contract is None else contract.table
        fault = _with_line(Fault.of(wrong, str(path)), path)
        return Suite(path.stem, table, 0, (), fault=fault, path=str(path))
    suite = replace(suite, path=str(path))
    return _with_lines(suite if contract is None else fitted(suite, contract), path)


def _with_lines(suite: Suite, path: Path) -> Suite:
    """Add line numbers to the locations of faults; a file without faults is not read again."""
    fault = None if suite.fault is None else _with_line(suite.fault, path)
    if fault is None and not any(expectation.fault for expectation in suite.expectations):
        return suite
    checks = tuple(
        expectation
        if expectation.fault is None
        else replace(expectation, fault=_with_line(expectation.fault, path))
        for expectation in suite.expectations
    )
    return replace(suite, fault=fault, expectations=checks)


def _with_line(fault: Fault, path: Path) -> Fault:
    return replace(fault, where=with_line(path, fault.where, fault.what))


def read_suite(path: Path | str, contract: Contract | None = None) -> Suite:
    """Read a suite; if a contract is given, each expectation must fit its fields.

    Raises:
        DeclarationError: the file is unreadable; a key, type or kwarg is unknown; two checks have
            the same id; an action is not possible for its expectation; or the contract does not
            declare a column.
    """
    return load_suite(path, contract).sound()


def parse_suite(document: Document, *, where: str = "suite") -> Suite:
    """Parse a suite's YAML or JSON document.

    Raises:
        DeclarationError: as for `read_suite`.
    """
    return _parsed(document, where).sound()


def fitted(suite: Suite, contract: Contract) -> Suite:
    """Convert the suite to stored units; checks that do not fit the contract get a fault."""
    if suite.fault is not None:
        return suite
    if suite.table != contract.table:
        what = f"the suite is for table {suite.table!r}, not {contract.table!r}"
        return replace(suite, fault=Fault(what, suite.path, "correct its meta: {table: ...}"))
    suite = suite.stored(contract)
    columns = Columns(contract.arrow_schema(), scales_of(contract))
    expectations = tuple(
        _with_fault(suite, expectation, columns) for expectation in suite.expectations
    )
    return replace(suite, expectations=expectations)


def _with_fault(suite: Suite, expectation: Expectation, columns: Columns) -> Expectation:
    if expectation.fault is not None:
        return expectation
    try:
        expectation.compiled(columns)
    except Exception as wrong:  # noqa: BLE001 - one check's fault affects no other
        return replace(expectation, fault=Fault.of(wrong, suite.place(expectation)))
    return expectation


def _parsed(document: Document, where: str) -> Suite:
    _known_keys(document, SUITE, where)
    meta = document.get("meta") or {}
    _known_keys(meta, SUITE_META, f"{where}, meta")
    for key, place in (("name", document), ("table", meta)):
        if not isinstance(place.get(key), str):
            raise DeclarationError(
                f"the suite has no {key!r}", where=where, fix=f"add {key}: a string"
            )
    shadow = _flag(meta.get("shadow", False), f"{where}, meta")
    units = _choice(meta["units"], (CONTRACT,), "units", where) if "units" in meta else STORED
    entries = document.get("expectations") or []
    if not isinstance(entries, list):
        raise DeclarationError("expectations is not a list", where=where, fix="write a list")
    expectations = [
        _read(entry, f"{where}, expectations[{number}]", number, shadow=shadow)
        for number, entry in enumerate(entries)
    ]
    return Suite(
        name=document["name"],
        table=meta["table"],
        version=_version(meta.get("version", 1), where),
        expectations=_with_unique_ids(expectations, where),
        max_quarantined_share=_share(
            meta.get("max_quarantined_share", Suite.max_quarantined_share), where
        ),
        semantic=_semantic(meta.get("semantic") or {}, f"{where}, meta, semantic"),
        path=where,
        units=units,
        written=units,
    )


def _read(entry: Document, where: str, number: int, *, shadow: bool) -> Expectation:
    try:
        return _expectation(entry, where, shadow=shadow)
    except Exception as wrong:  # noqa: BLE001 - one check's fault affects no other
        return _faulty(entry, Fault.of(wrong, where), number, shadow=shadow)


def _faulty(entry: Document, fault: Fault, number: int, *, shadow: bool) -> Expectation:
    """Return an expectation with a fault, for a check that cannot be read.

    In shadow mode it does not affect verdicts.
    """
    mapping: Mapping[str, Any] = entry if isinstance(entry, Mapping) else {}
    meta_value = mapping.get("meta")
    meta: Mapping[str, Any] = meta_value if isinstance(meta_value, Mapping) else {}
    kind = str(mapping.get("type") or "unknown")
    return Expectation(
        id=str(meta.get("id") or f"{kind.removeprefix('expect_')}[{number}]"),
        type=kind,
        kwargs={},
        shadow=shadow or meta.get("shadow") is True,
        fault=fault,
    )


def _expectation(entry: Document, where: str, *, shadow: bool) -> Expectation:
    _known_keys(entry, EXPECTATION, where)
    meta = entry.get("meta") or {}
    _known_keys(meta, EXPECTATION_META, f"{where}, meta")
    kind, kwargs = entry.get("type"), entry.get("kwargs") or {}
    if kind not in VOCABULARY:
        raise _unknown_type(kind, where)
    VOCABULARY[kind].check_kwargs(kwargs, where)
    severity = _choice(entry.get("severity", "critical"), SEVERITIES, "severity", where)
    action = _choice(meta.get("action", _DEFAULT_ACTION[severity]), ACTIONS, "action", where)
    if action == "quarantine" and not VOCABULARY[kind].row_level:
        raise DeclarationError(
            f"{kind} is about the whole batch: it has no rows to quarantine",
            where=where,
            fix="use action: block or warn",
        )
    slices = parse_slices(meta, where)
    if slices is not None and not VOCABULARY[kind].sliced:
        raise DeclarationError(
            f"{kind} cannot be evaluated by category",
            where=where,
            fix="drop by, or use row_condition",
        )
    return Expectation(
        id=str(meta.get("id") or default_id(kind, kwargs, slices)),
        type=kind,
        kwargs=dict(kwargs),
        severity=severity,
        action=action,
        reason=str(meta.get("reason", "")),
        shadow=_flag(meta.get("shadow", False), f"{where}, meta") or shadow,
        slices=slices,
    )


def _unknown_type(kind: object, where: str) -> DeclarationError:
    if kind in ELSEWHERE:
        return DeclarationError(
            f"{kind} cannot be used in a gate", where=where, fix=ELSEWHERE[str(kind)]
        )
    near = difflib.get_close_matches(str(kind), VOCABULARY, n=1)
    fix = f"did you mean {near[0]}?" if near else "docs/reference/yaml-suite.md lists all types"
    return DeclarationError(f"unknown expectation type {kind!r}", where=where, fix=fix)


def default_id(kind: str, kwargs: Mapping[str, Any], slices: Slices | None = None) -> str:
    """Return the default id of a check, such as `column_values_to_be_between:distance`."""
    columns = VOCABULARY[kind].columns(kwargs)
    name = kind.removeprefix("expect_") + (":" + "+".join(columns) if columns else "")
    return name if slices is None else f"{name}/{slices.by}"


def _known_keys(mapping: Document, keys: Keys, where: str) -> None:
    _refuse_others(mapping, keys.names, where)


def _refuse_others(mapping: Document, names: Collection[str], where: str) -> None:
    if not isinstance(mapping, Mapping):
        raise DeclarationError(
            f"expected a mapping, got {mapping!r}",
            where=where,
            fix="see docs/reference/yaml-suite.md",
        )
    unknown = sorted(str(key) for key in mapping if key not in names)
    if unknown:
        raise DeclarationError(
            f"unknown key {', '.join(unknown)}", where=where, fix=f"use only {sorted(names)}"
        )


def _choice(value: object, options: tuple[str, ...], what: str, where: str) -> str:
    if value not in options:
        raise DeclarationError(
            f"unknown {what} {value!r}", where=where, fix=f"use one of {options}"
        )
    return str(value)


def _flag(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise DeclarationError(f"shadow is {value!r}", where=where, fix="write true or false")
    return value


def _semantic(actions: Document, where: str) -> dict[str, str]:
    """Read {kind of change or `kind:column`: block | warn | note | off}."""
    kinds = {str(key).partition(":")[0]: action for key, action in actions.items()}
    _refuse_others(kinds, CHANGES, where)
    return {
        str(key): _choice(action, CHANGE_ACTIONS, f"action of {key}", where)
        for key, action in actions.items()
    }


def _share(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise DeclarationError(
            f"max_quarantined_share is {value!r}", where=where, fix="write a number from 0 to 1"
        )
    return float(value)


def _version(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise DeclarationError(f"version is {value!r}", where=where, fix="write a whole number")
    return value


def _with_unique_ids(expectations: list[Expectation], where: str) -> tuple[Expectation, ...]:
    """Make duplicate ids unique; all checks but the first with an id get a fault."""
    counts: Counter[str] = Counter()
    unique = []
    for expectation in expectations:
        counts[expectation.id] += 1
        if counts[expectation.id] > 1:
            what = f"more than one expectation is called {expectation.id!r}"
            fault = expectation.fault or Fault(what, where, "give each its own meta: {id: ...}")
            unique.append(
                replace(expectation, id=f"{expectation.id} ({counts[expectation.id]})", fault=fault)
            )
        else:
            unique.append(expectation)
    return tuple(unique)
