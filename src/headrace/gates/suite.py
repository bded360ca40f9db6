"""Suites: Great Expectations' form as YAML, read strictly and without importing it.

    name: flights.schedule
    meta: {table: schedule, version: 1, max_quarantined_share: 0.01}
    expectations:
      - type: expect_column_values_to_be_between
        kwargs: {column: distance, min_value: 15, max_value: 5000}
        severity: critical                    # critical | warning | info
        meta: {id: distance, action: quarantine, reason: no flight from New York is longer}

`action` is what a failed check does to the batch: `block` it, `quarantine` the rows that failed
(row-level expectations only), or `warn`. Without one, critical blocks, the others warn.

`shadow: true`, in the meta of one expectation or of the suite, makes a check run and be told, and
decide nothing: see `headrace gate shadow`. `by: carrier` asks a check of each carrier apart: see
`slices`.
"""

import difflib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.contracts import Contract
from headrace.contracts.document import read_document
from headrace.errors import DeclarationError
from headrace.files import digest
from headrace.gates.columns import Columns
from headrace.gates.slices import Slices, parse_slices
from headrace.gates.vocabulary import ELSEWHERE, VOCABULARY, Check, compile_check

Document = Any  # a parsed YAML or JSON value, not yet proven to be of the right form
SEMANTICS = 1  # part of every suite hash: raise it when a compiled expectation changes its answer
SEVERITIES = ("critical", "warning", "info")
ACTIONS = ("block", "quarantine", "warn")
_DEFAULT_ACTION = {"critical": "block", "warning": "warn", "info": "warn"}
_SUITE_KEYS = {"name", "meta", "expectations", "notes"}
_SUITE_META = {"table", "version", "max_quarantined_share", "shadow", "owner", "notes"}
_EXPECTATION_KEYS = {"type", "kwargs", "severity", "meta"}
_SLICES = {"by", "min_rows", "max_levels"}
_EXPECTATION_META = {"id", "action", "reason", "shadow", "owner", "notes", *_SLICES}


@dataclass(frozen=True)
class Expectation:
    """One declared check. `kwargs` are Great Expectations' own."""

    id: str
    type: str
    kwargs: Mapping[str, Any] = field(hash=False)
    severity: str = "critical"
    action: str = "block"
    reason: str = ""
    shadow: bool = False
    slices: Slices | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it is about."""
        by = () if self.slices is None else (self.slices.by,)
        return tuple(dict.fromkeys((*VOCABULARY[self.type].columns(self.kwargs), *by)))

    def document(self) -> dict[str, Any]:
        """What decides its answer. `shadow` is no part of it: the suite keeps those apart."""
        return {
            **(self.slices.document() if self.slices else {}),
            "id": self.id,
            "type": self.type,
            "kwargs": dict(self.kwargs),
            "severity": self.severity,
            "action": self.action,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Suite:
    """The checks of one table.

    `hash` changes when the verdict on a batch, or the rows that pass, could: batches are then
    judged again. Checks in shadow decide neither, so a new one changes only `shadow_hash`.
    """

    name: str
    table: str
    version: int
    expectations: tuple[Expectation, ...]
    max_quarantined_share: float = 0.01

    @cached_property
    def hash(self) -> str:
        return digest(
            {
                "semantics": SEMANTICS,
                "name": self.name,
                "table": self.table,
                "version": self.version,
                "max_quarantined_share": self.max_quarantined_share,
                "expectations": [e.document() for e in self.expectations if not e.shadow],
            }
        )

    @cached_property
    def shadow_hash(self) -> str:
        """Digest of the checks in shadow; empty if there are none."""
        shadows = [e.document() for e in self.expectations if e.shadow]
        return digest({"semantics": SEMANTICS, "shadow": shadows}) if shadows else ""

    @cached_property
    def full_hash(self) -> str:
        """Digest of all that is evaluated; for what is compiled, not for what is stored."""
        return digest([self.hash, self.shadow_hash])

    def check(self, schema: pa.Schema) -> tuple[Check | None, ...]:
        """Compile every expectation against a schema, or name the first that does not fit.

        None stands for one that is not compiled, but asked of Great Expectations.
        """
        checks = []
        for expectation in self.expectations:
            try:
                checks.append(compile_check(expectation.type, expectation.kwargs, Columns(schema)))
                if expectation.slices is not None:
                    expectation.slices.check(Columns(schema))
            except DeclarationError as wrong:
                raise DeclarationError(
                    wrong.what, where=_place(self.name, expectation.id, wrong.where), fix=wrong.fix
                ) from wrong
        return tuple(checks)


def _place(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def load_suite(path: Path | str, contract: Contract | None = None) -> Suite:
    """Read a suite; with a contract, also prove that each check fits its fields.

    Args:
        path: a YAML file in the form above.
        contract: the contract of the suite's table.

    Raises:
        DeclarationError: unreadable file, unknown key, type or kwarg, repeated id, an action
            that the expectation cannot have, or a column that the contract does not declare.
    """
    suite = parse_suite(read_document(Path(path)).value, where=str(path))
    if contract is not None:
        suite.check(contract.arrow_schema())
    return suite


def parse_suite(document: Document, *, where: str = "suite") -> Suite:
    """A suite from its parsed YAML or JSON document."""
    _known_keys(document, _SUITE_KEYS, where)
    meta = document.get("meta") or {}
    _known_keys(meta, _SUITE_META, f"{where}, meta")
    for key, place in (("name", document), ("table", meta)):
        if not isinstance(place.get(key), str):
            raise DeclarationError(
                f"the suite has no {key!r}", where=where, fix=f"add {key}: a string"
            )
    shadow = _flag(meta.get("shadow", False), f"{where}, meta")
    expectations = tuple(
        _expectation(entry, f"{where}, expectations[{number}]", shadow=shadow)
        for number, entry in enumerate(document.get("expectations") or [])
    )
    _unique_ids(expectations, where)
    return Suite(
        name=document["name"],
        table=meta["table"],
        version=int(meta.get("version", 1)),
        expectations=expectations,
        max_quarantined_share=_share(meta.get("max_quarantined_share", 0.01), where),
    )


def _expectation(entry: Document, where: str, *, shadow: bool) -> Expectation:
    _known_keys(entry, _EXPECTATION_KEYS, where)
    meta = entry.get("meta") or {}
    _known_keys(meta, _EXPECTATION_META, f"{where}, meta")
    kind, kwargs = entry.get("type"), entry.get("kwargs") or {}
    if kind not in VOCABULARY:
        raise _unknown_type(kind, where)
    VOCABULARY[kind].check_kwargs(kwargs, where)
    severity = _one_of(entry.get("severity", "critical"), SEVERITIES, "severity", where)
    action = _one_of(meta.get("action", _DEFAULT_ACTION[severity]), ACTIONS, "action", where)
    if action == "quarantine" and not VOCABULARY[kind].row_level:
        raise DeclarationError(
            f"{kind} is about the whole batch: it has no rows to quarantine",
            where=where,
            fix="use action: block or warn",
        )
    slices = parse_slices(meta, where)
    if slices is not None and not VOCABULARY[kind].sliced:
        raise DeclarationError(
            f"{kind} has no answer by level", where=where, fix="drop by, or use row_condition"
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
        return DeclarationError(f"{kind} cannot be a gate's", where=where, fix=ELSEWHERE[str(kind)])
    near = difflib.get_close_matches(str(kind), VOCABULARY, n=1)
    fix = f"did you mean {near[0]}?" if near else "docs/suites.md lists all types"
    return DeclarationError(f"unknown expectation type {kind!r}", where=where, fix=fix)


def default_id(kind: str, kwargs: Mapping[str, Any], slices: Slices | None = None) -> str:
    """`column_values_to_be_between:distance`: what a check is called if its meta gives no id."""
    columns = VOCABULARY[kind].columns(kwargs)
    named = kind.removeprefix("expect_") + (":" + "+".join(columns) if columns else "")
    return named if slices is None else f"{named}/{slices.by}"


def _known_keys(found: Document, known: set[str], where: str) -> None:
    if not isinstance(found, Mapping):
        raise DeclarationError(
            f"expected a mapping, got {found!r}", where=where, fix="see the form"
        )
    unknown = sorted(str(key) for key in found if key not in known)
    if unknown:
        raise DeclarationError(
            f"unknown key {', '.join(unknown)}", where=where, fix=f"use only {sorted(known)}"
        )


def _one_of(value: object, options: tuple[str, ...], what: str, where: str) -> str:
    if value not in options:
        raise DeclarationError(
            f"unknown {what} {value!r}", where=where, fix=f"use one of {options}"
        )
    return str(value)


def _flag(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise DeclarationError(f"shadow is {value!r}", where=where, fix="write true or false")
    return value


def _share(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise DeclarationError(
            f"max_quarantined_share is {value!r}", where=where, fix="write a number from 0 to 1"
        )
    return float(value)


def _unique_ids(expectations: tuple[Expectation, ...], where: str) -> None:
    repeated = [name for name, n in Counter(e.id for e in expectations).items() if n > 1]
    if repeated:
        raise DeclarationError(
            f"more than one expectation is called {repeated[0]!r}",
            where=where,
            fix="give each its own meta: {id: ...}",
        )
