"""Hints in the text of a drafted contract: properties with evidence, questions as comments."""

import re
import textwrap
from collections.abc import Iterator, Sequence

from headrace.contracts.authoring.editing import Edited
from headrace.contracts.authoring.yaml_values import flow
from headrace.scaffold.hints.model import ContractHint

_COLUMNS = ("schema", 0, "properties")
_WIDTH = 92
_PROPERTIES = {"unit": "unit", "zone": "zone", "explainedBy": "explainedBy"}


def annotated(text: str, hints: Sequence[ContractHint]) -> str:
    """Return a drafted contract with its hints.

    Declared hints become properties and relations, with their evidence in a comment. Questions and
    closed sets, which belong in the suite, become comments only.
    """
    draft = Edited(text)
    for hint in hints:
        if hint.declared and hint.kind in _PROPERTIES:
            value = hint.value if isinstance(hint.value, str) else list(hint.value)
            draft.custom(*_COLUMNS, hint.columns[0], name=_PROPERTIES[hint.kind], to=value)
    lines = draft.text.splitlines()
    for hint in hints:
        if hint.kind != "relation":
            place = _column_line(lines, hint.columns[0])
            lines[place:place] = _comment(_sentence(hint), "      ")
    relations = [
        hint
        for hint in hints
        if hint.kind == "relation" and f"          - name: {flow(hint.name)}" not in lines
    ]
    if relations:
        _add_relations(lines, list(_relation_lines(relations)))
    return "\n".join(lines) + "\n"


def _sentence(hint: ContractHint) -> str:
    if hint.kind == "levels":
        return f"Closed set, for the suite: {', '.join(hint.value)}. {hint.text}"
    return f"{hint.kind}: {hint.text}" if hint.declared else f"Question, {hint.kind}: {hint.reason}"


def _column_line(lines: Sequence[str], name: str) -> int:
    start = lines.index("    properties:")
    form = re.compile(rf"      - name: ([\"']?){re.escape(name)}\1$")
    return next(place for place in range(start, len(lines)) if form.match(lines[place]))


def _comment(sentence: str, indent: str) -> list[str]:
    return [f"{indent}# {line}" for line in textwrap.wrap(sentence, _WIDTH - len(indent))]


def _add_relations(lines: list[str], entries: list[str]) -> None:
    """Insert relations after those of the draft, or at the end of the table's properties."""
    head = "      - property: relations"
    if head in lines:
        place = lines.index(head) + 2
        while lines[place].startswith("          "):
            place += 1
        lines[place:place] = entries
        return
    place = lines.index("    properties:")
    comment = (
        "Relations that held in nearly all rows. Single rows may break one; if many do, a semantic"
        " change is reported. TODO: remove relations that hold by chance."
    )
    lines[place:place] = [*_comment(comment, "      "), head, "        value:", *entries]


def _relation_lines(hints: Sequence[ContractHint]) -> Iterator[str]:
    for hint in hints:
        yield from _comment(hint.evidence.text, "          ")
        entry = {"name": hint.name, "expression": hint.value, "description": hint.reason}
        for key, value in entry.items():
            yield f"          {'- ' if key == 'name' else '  '}{key}: {flow(value)}"
