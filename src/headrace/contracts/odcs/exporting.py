"""Export of a contract as a plain ODCS 3.2 document for other tools.

Our contracts are already ODCS documents. The export puts preserved parts of an imported document
back in their places, omits hidden columns, and turns the suite's expectations and the invariants
into quality rules.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.contracts.model import Contract
from headrace.contracts.odcs.columns import DELIVERED, subject_of
from headrace.contracts.odcs.importing import OF_INVARIANT
from headrace.contracts.odcs.preserved_parts import (
    Document,
    custom,
    merged,
    restore_unread,
    with_unread,
)
from headrace.contracts.odcs.quality_export import to_quality
from headrace.contracts.odcs.quality_import import Expectation, Subject, from_part


def export(contract: Contract, expectations: Sequence[Mapping[str, Any]] | None = None) -> Document:
    """Return the ODCS 3.2 document of a contract.

    Args:
        contract: the loaded contract.
        expectations: entries of the table's suite. If None, imported rules are exported unchanged.
    """
    unexported = (
        None if expectations is None else [_with_id(expectation) for expectation in expectations]
    )
    table: Document = {**contract.document["schema"][0]}
    columns, hidden = _columns(table["properties"])
    restored = [_restored(column, subject_of(column), unexported) for column in columns]
    table = _restored({**table, "properties": restored}, None, unexported)
    if hidden:
        entry = {"property": "hiddenColumns", "value": hidden}
        table["customProperties"] = [*table.get("customProperties", []), entry]
    rules = [_of_invariant(contract.table, invariant) for invariant in _invariants(table)]
    for expectation in unexported or ():
        _add(table, expectation, rules)
    if rules:
        table["quality"] = [*table.get("quality", []), *rules]
    return {**restore_unread({**contract.document}), "schema": [table]}


def _with_id(expectation: Mapping[str, Any]) -> Expectation:
    kwargs = dict(expectation.get("kwargs") or {})
    return {**expectation, "kwargs": kwargs}


def _columns(columns: Sequence[Document]) -> tuple[list[Document], list[Document]]:
    """Return (published columns, hidden columns each with the name of the column before it)."""
    published: list[Document] = []
    hidden: list[Document] = []
    before = None
    for column in columns:
        if custom(column, "hidden") is True:
            hidden.append({"after": before, "column": column})
        else:
            published.append(column)
        before = column["name"]
    return published, hidden


def _restored(
    owner: Document, subject: Subject | None, unexported: list[Expectation] | None
) -> Document:
    """Restore the preserved parts of a column or table, and its imported rules if unchanged."""
    unread = dict(custom(owner, "unread") or {})
    translated, name = unread.pop("translated", []), unread.pop("name", None)
    properties = [
        entry for entry in owner.get("customProperties", []) if entry["property"] != "unread"
    ]
    if "transformLogic" in unread:
        properties = [*properties, {"property": DELIVERED, "value": True}]
    document = restore_unread(with_unread({**owner, "customProperties": properties}, unread))
    for pair in translated:
        if unexported is None or _is_unchanged(pair, subject, unexported):
            document = merged(document, pair["was"])
    if name is not None:
        document.setdefault("physicalName", name)
    return document


def _is_unchanged(
    pair: Mapping[str, Any], subject: Subject | None, unexported: list[Expectation]
) -> bool:
    """Return True if the suite still has the imported rule unchanged.

    If so, remove the rule's expectations from `unexported`.
    """
    expectations = [
        expectation
        for expectation in unexported
        if (expectation.get("meta") or {}).get("id") in pair["expectations"]
    ]
    if [_rule_of(expectation) for expectation in expectations] != [
        _rule_of(expectation) for expectation in from_part(pair["was"], subject)
    ]:
        return False
    for expectation in expectations:
        unexported.remove(expectation)
    return True


def _rule_of(expectation: Mapping[str, Any]) -> list[Any]:
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
    """Add the expectation as quality rules: to its column, or to `rules` if it has none."""
    name = expectation["kwargs"].get("column")
    for number, column in enumerate(table["properties"]):
        if column["name"] == name:
            quality = [*column.get("quality", []), *to_quality(expectation)]
            table["properties"][number] = {**column, "quality": quality}
            return
    rules += to_quality(expectation)
