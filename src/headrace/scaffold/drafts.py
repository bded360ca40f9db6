"""Contract drafts in three passes.

The first types the rows. The second adds derived columns, delays and relations. The third adds the
hints that the rows give, each with its evidence: units, zones, keys that explain a column, further
relations, and closed sets.
"""

from collections.abc import Callable, Iterable, Sequence

from headrace.scaffold.contract import draft_contract
from headrace.scaffold.hints import ContractHint, annotated, by_day, find_hints
from headrace.scaffold.inspection.declarations import Derived
from headrace.scaffold.inspection.delays import delays
from headrace.scaffold.inspection.facts import Facts, facts
from headrace.scaffold.inspection.file_inspection import Look
from headrace.scaffold.inspection.relations import relations
from headrace.sources.parsing.csv_rows import csv_rows

Derive = Callable[[Facts], Iterable[Derived]]


def drafted(
    look: Look, pipeline: str, consumers: Sequence[str] = (), derive: Derive = lambda _: ()
) -> Facts:
    """Draft a contract for a file; return the file's rows and statistics, typed by the contract.

    Args:
        look: the inspected file.
        pipeline: name of the pipeline that the contract is for.
        consumers: the datasets that read the table.
        derive: returns the columns to derive, given the facts of the first pass.

    Raises:
        DeclarationError: if some rows break the contract that was drafted from the file.
    """
    first = facts(look, draft_contract(look, pipeline=pipeline, consumers=consumers))
    late = delays(first)
    text = draft_contract(
        look,
        derive(first),
        pipeline=pipeline,
        consumers=consumers,
        delays=late,
        relations=relations(first),
    )
    second = facts(look, text, late)
    hints = _hints(second)
    return facts(look, _with_units(annotated(text, hints), look, hints), late) if hints else second


def _hints(drafted: Facts) -> list[ContractHint]:
    """Return the hints that need no answer of a person, and that no declared relation implies.

    Hints that state values of a personal column are not written: the contract is committed.
    """
    contract, personal = drafted.contract, drafted.look.personal
    rows = csv_rows(drafted.look.payload, contract.null_tokens)
    related = [relation.expression.inputs for relation in contract.relations]

    def is_new(hint: ContractHint) -> bool:
        if hint.kind == "relation":
            return not any(set(hint.columns) <= inputs for inputs in related)
        return hint.kind == "explainedBy" or hint.columns[0] not in personal

    hints = find_hints(contract, by_day(contract, rows))
    return [hint for hint in hints if hint.declared and is_new(hint)]


def _with_units(text: str, look: Look, hints: Sequence[ContractHint]) -> str:
    """Return the text with the question for a unit replaced where a hint answers it."""
    answered = {hint.columns[0] for hint in hints if hint.kind == "unit"}
    for column in look.columns:
        if column.name in answered:
            question = f"TODO: what {column.header} means"
            text = text.replace(f"{question}, and its unit.", f"{question}; is its unit right?")
    return text
