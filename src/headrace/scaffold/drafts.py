"""Contract drafts in two passes: the first types the rows, the second adds columns and delays."""

from collections.abc import Callable, Iterable, Sequence

from headrace.scaffold.contract import draft_contract
from headrace.scaffold.inspection.declarations import Derived
from headrace.scaffold.inspection.delays import delays
from headrace.scaffold.inspection.facts import Facts, facts
from headrace.scaffold.inspection.file_inspection import Look
from headrace.scaffold.inspection.relations import relations

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
    return facts(look, text, late)
