"""Contract and facts of a file: drafted once to see its values, then with what they say."""

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
    """The facts of a file under its drafted contract.

    Args:
        look: the file.
        pipeline: that the contract is for.
        consumers: the datasets that read the table.
        derive: the columns to derive from what the file holds.

    Raises:
        DeclarationError: rows contradict what the others show.
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
