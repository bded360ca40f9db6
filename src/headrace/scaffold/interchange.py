"""Import and export of contracts as plain ODCS, with validation of the result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.contracts import Contract
from headrace.contracts.authoring.open_questions import Undecided, undecided
from headrace.contracts.authoring.yaml_values import block
from headrace.contracts.model import RESERVED, Field
from headrace.contracts.odcs.document_reader import read_foreign
from headrace.contracts.odcs.exporting import export
from headrace.contracts.odcs.foreign_properties import settled
from headrace.contracts.odcs.importing import Imported, import_table, tables_of
from headrace.contracts.odcs.json_schema import problems
from headrace.contracts.odcs.quality_import import Expectation, Subject, modernised
from headrace.core.declarations.strict_yaml import parse_document, read_document
from headrace.core.errors import DeclarationError
from headrace.gates.contract_units import CONTRACT, converted, scales_of, to_contract
from headrace.gates.suite_reader import parse_suite

_HEAD = "# Imported from {source}. Every TODO is for a person to decide: headrace contract lint\n"


@dataclass(frozen=True)
class Arrived:
    """Imported table of an ODCS document: the YAML of its contract and of its suite.

    `suite` is empty if the document has no rules that a suite can express. `broken` is the error,
    other than open questions, that prevents the contract from loading; empty if there is none.
    """

    table: str
    contract: str
    suite: str
    undecided: tuple[Undecided, ...]
    notes: tuple[str, ...]
    broken: str

    def as_json(self) -> dict[str, Any]:
        return {
            "table": self.table,
            "contract": self.contract,
            "suite": self.suite,
            "undecided": [vars(question) for question in self.undecided],
            "notes": list(self.notes),
            "broken": self.broken,
        }


def arrive(path: Path, table: str | None = None) -> list[Arrived]:
    """Import contracts for all tables of an ODCS file, or for one of them.

    Raises:
        DeclarationError: if the file is not an ODCS 3 document, or has no such table.
    """
    source = read_foreign(path)
    names = tables_of(source)
    positions = [n for n, name in enumerate(names) if table in {None, name}]
    if not positions:
        raise DeclarationError(
            f"the document describes no table {table!r}"
            if table
            else "the document describes no table",
            where=str(path),
            fix=f"--table, one of: {', '.join(names)}" if names else "add a table to its schema",
        )
    modern = modernised(source)
    invalid = problems(modern) or []
    notes = [f"not valid ODCS: {problem}" for problem in invalid]
    return [_arrived(import_table(modern, n, _refused), path, notes) for n in positions]


def _arrived(imported: Imported, source: Path, notes: Sequence[str]) -> Arrived:
    path = Path(f"{imported.table}.yaml")
    document, refused, broken = settled(imported.document, path)
    text = _HEAD.format(source=source.name) + block(document)
    marks = tuple(undecided(parse_document(text, path)))
    suite = _suite(imported, source) if imported.expectations else ""
    return Arrived(imported.table, text, suite, marks, (*notes, *imported.notes, *refused), broken)


def _suite(imported: Imported, source: Path) -> str:
    head = f"# Quality rules of {imported.table}, imported from {source.name}.\n"
    return head + block(
        {
            "name": imported.table,
            "meta": {"table": imported.table, "version": 1, "units": CONTRACT},
            "expectations": list(imported.expectations),
        }
    )


def _refused(expectation: Expectation, subjects: Sequence[Subject]) -> str | None:
    """Return why a suite over these columns would reject the expectation; None if it would not."""
    scales = {subject.name: subject.scale for subject in subjects if subject.scale}
    document = {"name": "one", "meta": {"table": "one"}, "expectations": [expectation]}
    columns = [pa.field(subject.name, _type(subject)) for subject in subjects]
    reserved = [pa.field(name, kind) for name, _, kind in RESERVED]
    try:
        suite = parse_suite(document)
        expectations = [expectation.stored(scales) for expectation in suite.expectations]
        replace(suite, expectations=tuple(expectations)).check(pa.schema([*columns, *reserved]))
    except DeclarationError as error:
        return error.what
    return None


def _type(subject: Subject) -> pa.DataType:
    kind: Any = subject.type if subject.type != "TODO" else "string"
    return Field(subject.name, kind, 10, "", "", scale=subject.scale).arrow_type


def depart(contract: Contract, suite: Path | None) -> dict[str, Any]:
    """Export a contract and the expectations of its suite as an ODCS 3.2 document.

    Raises:
        DeclarationError: if the document does not validate against the ODCS JSON schema.
    """
    expectations: list[Mapping[str, Any]] | None = None
    if suite is not None:
        expectations = _in_contract_units(contract, read_document(suite).value)
    document = export(contract, expectations)
    faults = problems(document)
    if faults:
        raise DeclarationError(
            f"the exported document is not valid ODCS: {'; '.join(faults[:3])}",
            where=str(contract.path),
            fix="fix these parts of the contract",
        )
    return document


def _in_contract_units(contract: Contract, suite: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a suite's expectations, with values converted to the contract's units."""
    written = list(suite.get("expectations") or [])
    scales = scales_of(contract)
    if (suite.get("meta") or {}).get("units") == CONTRACT or not scales:
        return written
    return [
        {
            **expectation,
            "kwargs": converted(
                expectation["type"], expectation.get("kwargs") or {}, scales, to_contract
            ),
        }
        for expectation in written
    ]


def suite_of(contract: Contract) -> Path | None:
    """Return the path of the contract's suite in its project; None if there is none."""
    pipeline = contract.path.absolute().parent.parent
    root = pipeline.parent.parent
    path = root / "quality_suites" / pipeline.name / f"{contract.table}.yaml"
    return path if path.is_file() else None
