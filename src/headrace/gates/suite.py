"""Suites: Great Expectations' form as YAML, read strictly and without importing it.

    name: flights.schedule
    meta: {table: schedule, version: 1, max_quarantined_share: 0.01}
    expectations:
      - type: expect_column_values_to_be_between
        kwargs: {column: distance, min_value: 15, max_value: 5000}
        severity: critical                    # critical | warning | info
        meta: {id: distance, action: quarantine, reason: no flight from New York is longer}

`action` is the effect of a failed check on the batch: `block` it, `quarantine` the rows that failed
(row-level expectations only), or `warn`. Without one, critical blocks, the others warn.

`units: contract`, in the meta of the suite, says that limits on a column of declared scale are in
the contract's unit: 23.62, not 2362. Without it they are numbers as the table stores them.

`shadow: true`, in the meta of one expectation or of the suite, makes a check run and be reported,
but decide nothing: see `headrace gate shadow`. `by: carrier` evaluates a check for each carrier:
see `checks.per_category`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pyarrow as pa

from headrace.contracts import Contract
from headrace.core.errors import DeclarationError, HeadraceError
from headrace.core.files import digest
from headrace.gates.checks.column_context import Columns
from headrace.gates.checks.per_category import Slices
from headrace.gates.checks.vocabulary import VOCABULARY, Check, compile_check
from headrace.gates.contract_units import CONTRACT, STORED, converted, scales_of, to_stored

SEMANTICS = 1  # part of every suite hash: raise it when a compiled expectation changes its answer
SEVERITIES = ("critical", "warning", "info")
ACTIONS = ("block", "quarantine", "warn")
# Possible actions on a semantic change, most severe first.
CHANGE_ACTIONS = ("block", "warn", "note", "off")


@dataclass(frozen=True)
class Fault:
    """Fault of a suite or of one of its checks, with what an operator needs to fix it."""

    what: str
    where: str = ""
    fix: str = ""

    @classmethod
    def of(cls, wrong: Exception, where: str) -> "Fault":
        if isinstance(wrong, HeadraceError):
            is_placed = wrong.where.startswith(where)
            place = wrong.where if is_placed else ", ".join(p for p in (where, wrong.where) if p)
            return cls(wrong.what, place, wrong.fix)
        return cls(f"{type(wrong).__name__}: {wrong}", where, "correct the file")

    @property
    def error(self) -> DeclarationError:
        return DeclarationError(self.what, where=self.where, fix=self.fix)

    def __str__(self) -> str:
        place = f", in {self.where}" if self.where else ""
        return f"{self.what}{place}" + (f"; {self.fix}" if self.fix else "")


@dataclass(frozen=True)
class Expectation:
    """Declared check. `kwargs` are Great Expectations' own; with a fault it cannot be run.

    In a suite from `suite_reader.fitted`, numbers in `kwargs` are as the table stores them.
    """

    id: str
    type: str
    kwargs: Mapping[str, Any] = field(hash=False)
    severity: str = "critical"
    action: str = "block"
    reason: str = ""
    shadow: bool = False
    slices: Slices | None = None
    fault: Fault | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that it is about."""
        if self.fault is not None:
            return ()
        by = () if self.slices is None else (self.slices.by,)
        return tuple(dict.fromkeys((*VOCABULARY[self.type].columns(self.kwargs), *by)))

    def compiled(self, columns: Columns) -> Check | None:
        """Return its check over columns; None if Great Expectations evaluates it.

        Raises:
            DeclarationError: it does not fit, or has a fault.
        """
        if self.fault is not None:
            raise self.fault.error
        if self.slices is not None:
            self.slices.check(columns)
        return compile_check(self.type, self.kwargs, columns)

    def stored(self, scales: Mapping[str, int]) -> "Expectation":
        """Return the expectation with its numbers in stored instead of contract units.

        Raises:
            DeclarationError: a number cannot be converted.
        """
        if self.fault is not None:
            return self
        return replace(self, kwargs=converted(self.type, self.kwargs, scales, to_stored))

    def document(self) -> dict[str, Any]:
        """Return what affects its outcome; the suite stores `shadow` apart."""
        return {
            **(self.slices.document() if self.slices else {}),
            **({"fault": self.fault.what} if self.fault else {}),
            "id": self.id,
            "type": self.type,
            "kwargs": dict(self.kwargs),
            "severity": self.severity,
            "action": self.action,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Suite:
    """Checks of one table.

    `hash` changes when the verdict on a batch, or the rows that pass, could: batches are then
    re-validated. `semantic` is the action on a semantic change, by its kind or by `kind:column`,
    if it is not the default. Checks in shadow affect neither, so a new one changes only
    `shadow_hash`. A suite with a `fault` could not be read at all; every verdict by it is ERROR.
    `path` is its file. `units` are those of the limits in `kwargs`, `written` those in its file:
    whatever the file has, checks and the hash are made of stored units.
    """

    name: str
    table: str
    version: int
    expectations: tuple[Expectation, ...]
    max_quarantined_share: float = 0.01
    fault: Fault | None = None
    path: str = field(default="", compare=False)
    semantic: Mapping[str, str] = field(default_factory=dict, hash=False)
    units: str = STORED
    written: str = field(default=STORED, compare=False)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Return the faults of the suite itself, then check by check."""
        suite_faults = () if self.fault is None else (self.fault,)
        return (*suite_faults, *(e.fault for e in self.expectations if e.fault is not None))

    @property
    def broken(self) -> bool:
        """Return True if every verdict by it is an ERROR."""
        return self.fault is not None or any(
            e.fault is not None and not e.shadow for e in self.expectations
        )

    def sound(self) -> "Suite":
        """Return the suite itself; raise DeclarationError for its first fault, if it has any."""
        for fault in self.faults:
            raise fault.error
        return self

    def stored(self, contract: Contract) -> "Suite":
        """Return the suite with numbers as the table stores them."""
        if self.units != CONTRACT:
            return self
        scales = scales_of(contract)
        expectations = tuple(self._stored(expectation, scales) for expectation in self.expectations)
        return replace(self, expectations=expectations, units=STORED)

    def _stored(self, expectation: Expectation, scales: Mapping[str, int]) -> Expectation:
        try:
            return expectation.stored(scales)
        except DeclarationError as wrong:
            return replace(expectation, fault=Fault.of(wrong, self.place(expectation)))

    def place(self, expectation: Expectation) -> str:
        """Return the place of an expectation in its file, for people."""
        return ", ".join(part for part in (self.path or self.name, expectation.id) if part)

    @cached_property
    def hash(self) -> str:
        return digest(
            {
                "semantics": SEMANTICS,
                "name": self.name,
                "table": self.table,
                "version": self.version,
                "max_quarantined_share": self.max_quarantined_share,
                **({"fault": self.fault.what} if self.fault else {}),
                **({"semantic": dict(self.semantic)} if self.semantic else {}),
                **({"units": self.units} if self.units == CONTRACT else {}),
                "expectations": [e.document() for e in self.expectations if not e.shadow],
            }
        )

    @cached_property
    def shadow_hash(self) -> str:
        """Return the digest of the checks in shadow; "" if there are none."""
        shadows = [e.document() for e in self.expectations if e.shadow]
        return digest({"semantics": SEMANTICS, "shadow": shadows}) if shadows else ""

    @cached_property
    def full_hash(self) -> str:
        """Return the digest of all evaluated checks; for compiled plans, not for storage."""
        return digest([self.hash, self.shadow_hash])

    def check(self, schema: pa.Schema) -> tuple[Check | None, ...]:
        """Compile every expectation against a schema, or raise for the first that does not fit.

        None is one that Great Expectations evaluates.
        """
        self._check_semantic(schema)
        checks = []
        for expectation in self.sound().expectations:
            try:
                checks.append(expectation.compiled(Columns(schema)))
            except DeclarationError as wrong:
                raise Fault.of(wrong, self.place(expectation)).error from wrong
        return tuple(checks)

    def _check_semantic(self, schema: pa.Schema) -> None:
        for key in self.semantic:
            column = key.partition(":")[2]
            if column and column not in schema.names:
                raise DeclarationError(
                    f"{key!r} names a column that the table does not have",
                    where=f"{self.path or self.name}, meta, semantic",
                    fix=f"one of: {', '.join(schema.names)}",
                )
