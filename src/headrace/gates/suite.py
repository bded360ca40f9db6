"""Suites: YAML in the form of Great Expectations, read strictly and without importing it.

    name: flights.schedule
    meta: {table: schedule, version: 1, max_quarantined_share: 0.01}
    expectations:
      - type: expect_column_values_to_be_between
        kwargs: {column: distance, min_value: 15, max_value: 5000}
        severity: critical                    # critical | warning | info
        meta: {id: distance, action: quarantine, reason: no flight from New York is longer}

`action` is the effect of a failed check: `block` the batch, `quarantine` the failing rows
(row-level expectations only), or `warn`. By default, `critical` blocks and other severities warn.

`units: contract`, in the meta of the suite, means that limits on scaled columns are in the
contract's unit (23.62). By default they are in the unit in which the table stores values (2362).

`shadow: true`, in the meta of an expectation or of the suite, runs and reports the check without
effect on the verdict; see `headrace gate shadow`. `by: carrier` evaluates a check for each carrier;
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

SEMANTICS = 1  # part of every suite hash: raise it when an expectation's result changes
SEVERITIES = ("critical", "warning", "info")
ACTIONS = ("block", "quarantine", "warn")
# Possible actions on a semantic change; the most severe comes first.
CHANGE_ACTIONS = ("block", "warn", "note", "off")


@dataclass(frozen=True)
class Fault:
    """Fault in a suite or in one of its checks: what is wrong, where, and how to fix it."""

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
    """Check as declared in a suite; one with a `fault` cannot be run.

    `kwargs` are those of Great Expectations. In a suite from `suite_reader.fitted`, their numbers
    are in stored units.
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
        """Columns that the check examines, and the column of its categories."""
        if self.fault is not None:
            return ()
        by = () if self.slices is None else (self.slices.by,)
        return tuple(dict.fromkeys((*VOCABULARY[self.type].columns(self.kwargs), *by)))

    def compiled(self, columns: Columns) -> Check | None:
        """Compile the check for these columns; None if Great Expectations evaluates it.

        Raises:
            DeclarationError: the check has a fault or does not fit the columns.
        """
        if self.fault is not None:
            raise self.fault.error
        if self.slices is not None:
            self.slices.check(columns)
        return compile_check(self.type, self.kwargs, columns)

    def stored(self, scales: Mapping[str, int]) -> "Expectation":
        """Convert the expectation's numbers from contract units to stored units.

        Raises:
            DeclarationError: a number cannot be converted.
        """
        if self.fault is not None:
            return self
        return replace(self, kwargs=converted(self.type, self.kwargs, scales, to_stored))

    def document(self) -> dict[str, Any]:
        """Return the fields that affect the outcome, for the suite's hash.

        `shadow` is not included; the suite has separate hashes for checks in shadow mode.
        """
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

    Attributes:
        hash: changes with everything that can affect a verdict or the passing rows; batches are
            then re-validated. Checks in shadow mode affect neither, so they change only
            `shadow_hash`.
        fault: reason why the suite could not be read; every verdict is then ERROR.
        path: the suite's file.
        semantic: actions on semantic changes that differ from the default, by `kind` or
            `kind:column`.
        units: unit of the limits in `kwargs`; converted to stored units before checks are compiled.
        written: unit of the limits in the file.
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
        """Faults of the suite itself, then of its checks in order."""
        suite_faults = () if self.fault is None else (self.fault,)
        return (*suite_faults, *(e.fault for e in self.expectations if e.fault is not None))

    @property
    def broken(self) -> bool:
        """True if the suite, or a check outside shadow mode, has a fault: verdicts are ERROR."""
        return self.fault is not None or any(
            e.fault is not None and not e.shadow for e in self.expectations
        )

    def sound(self) -> "Suite":
        """Return the suite; raise DeclarationError for its first fault, if it has any."""
        for fault in self.faults:
            raise fault.error
        return self

    def stored(self, contract: Contract) -> "Suite":
        """Convert the suite's numbers to stored units."""
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
        """Describe the position of an expectation in its file, for error messages."""
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
        """Digest of the checks in shadow mode; empty if there are none."""
        shadows = [e.document() for e in self.expectations if e.shadow]
        return digest({"semantics": SEMANTICS, "shadow": shadows}) if shadows else ""

    @cached_property
    def full_hash(self) -> str:
        """Digest of all checks, including those in shadow mode; a cache key that is not stored."""
        return digest([self.hash, self.shadow_hash])

    def check(self, schema: pa.Schema) -> tuple[Check | None, ...]:
        """Compile every expectation for a schema; raise for the first one that does not fit.

        An expectation that Great Expectations evaluates gives None.
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
