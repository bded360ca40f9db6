"""A contract of ours as a plain ODCS 3.2 document that other tools read.

Ours are ODCS already; on export, what was kept unread is put back in its place, hidden columns step
aside, and the suite's expectations and the invariants become quality rules.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.contracts.model import Contract
from headrace.contracts.odcs.columns import DELIVERED, subject_of
from headrace.contracts.odcs.importing import OF_INVARIANT
from headrace.contracts.odcs.preserved_parts import Document, custom, merged, put_back, with_unread
from headrace.contracts.odcs.quality_export import to_quality
from headrace.contracts.odcs.quality_import import Expectation, Subject, from_part


def export(contract: Contract, expectations: Sequence[Mapping[str, Any]] | None = None) -> Document:
    """The ODCS 3.2 document of a contract.

    Args:
        contract: as it was loaded.
        expectations: the entries of its suite; None if they are not known: then what was imported
            counts as it was.
    """
    left = None if expectations is None else [_with_id(expectation) for expectation in expectations]
    table: Document = {**contract.document["schema"][0]}
    columns, hidden = _columns(table["properties"])
    made = [_own(column, subject_of(column), left) for column in columns]
    table = _own({**table, "properties": made}, None, left)
    if hidden:
        entry = {"property": "hiddenColumns", "value": hidden}
        table["customProperties"] = [*table.get("customProperties", []), entry]
    rules = [_of_invariant(contract.table, invariant) for invariant in _invariants(table)]
    for one in left or ():
        _add(table, one, rules)
    if rules:
        table["quality"] = [*table.get("quality", []), *rules]
    return {**put_back({**contract.document}), "schema": [table]}


def _with_id(expectation: Mapping[str, Any]) -> Expectation:
    kwargs = dict(expectation.get("kwargs") or {})
    return {**expectation, "kwargs": kwargs}


def _columns(given: Sequence[Document]) -> tuple[list[Document], list[Document]]:
    """The published columns, and the hidden ones with the column that each comes after."""
    shown: list[Document] = []
    hidden: list[Document] = []
    before = None
    for column in given:
        if custom(column, "hidden") is True:
            hidden.append({"after": before, "column": column})
        else:
            shown.append(column)
        before = column["name"]
    return shown, hidden


def _own(owner: Document, subject: Subject | None, left: list[Expectation] | None) -> Document:
    """A column or table with its unread parts back, and the demands that still stand."""
    unread = dict(custom(owner, "unread") or {})
    translated, name = unread.pop("translated", []), unread.pop("name", None)
    properties = [one for one in owner.get("customProperties", []) if one["property"] != "unread"]
    if "transformLogic" in unread:
        properties = [*properties, {"property": DELIVERED, "value": True}]
    made = put_back(with_unread({**owner, "customProperties": properties}, unread))
    for pair in translated:
        if left is None or _stands(pair, subject, left):
            made = merged(made, pair["was"])
    if name is not None:
        made.setdefault("physicalName", name)
    return made


def _stands(pair: Mapping[str, Any], subject: Subject | None, left: list[Expectation]) -> bool:
    """Whether the suite still says what was imported: then the document says it, as it did."""
    found = [one for one in left if (one.get("meta") or {}).get("id") in pair["expectations"]]
    if [_said(one) for one in found] != [_said(one) for one in from_part(pair["was"], subject)]:
        return False
    for one in found:
        left.remove(one)
    return True


def _said(expectation: Mapping[str, Any]) -> list[Any]:
    return [expectation["type"], expectation["kwargs"], expectation.get("severity", "critical")]


def _invariants(table: Document) -> list[Document]:
    return list(custom(table, "invariants") or [])


def _of_invariant(table: str, invariant: Document) -> Document:
    return {
        "id": f"{OF_INVARIANT}{invariant['name']}",
        "type": "sql",
        "name": invariant["name"],
        "description": invariant["description"],
        "query": f"SELECT count(*) FROM {table} WHERE NOT ({invariant['expression']})",  # noqa: S608  (for others to read)
        "mustBe": 0,
        "severity": "warning",
    }


def _add(table: Document, expectation: Expectation, rules: list[Document]) -> None:
    """To the column it is about, if it is about one; else to the table."""
    name = expectation["kwargs"].get("column")
    for number, column in enumerate(table["properties"]):
        if column["name"] == name:
            quality = [*column.get("quality", []), *to_quality(expectation)]
            table["properties"][number] = {**column, "quality": quality}
            return
    rules += to_quality(expectation)
