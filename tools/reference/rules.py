"""Pages of the built-in tables: rules of contract changes, and licences."""

from collections import defaultdict
from collections.abc import Sequence

from headrace.contracts.evolution.compatibility import rules
from headrace.datasets.governance.licences import Licence
from headrace.datasets.governance.licences import table as licences
from tools.reference.markdown import code, escaped, table

CHANGES = """\
# Rules of contract changes

Each change of a contract falls under one rule. The rule gives the version step for readers of the
table, and the step for models trained on the table (trainers). MAJOR: the change breaks them.
MINOR: it adds or removes rows or columns, and the others keep their meaning. PATCH: it changes only
texts. `headrace contract diff` and `headrace contract check` apply these rules;
[contracts](contracts.md) explains them. `{before}` and `{after}` stand for the old and the new
value, and `{item}` for the changed element.
"""
LICENCES = """\
# Licences

A contract states the licence of its data as an SPDX expression. When a dataset is released,
Headrace checks that its purpose and the licences of all its tables are compatible: see
[governance](../explanation/governance.md). A licence that is not listed is refused, except
`LicenseRef-NAME`, which stands for an agreement of your own. The table interprets the
licences for data that is transformed and released; it is not legal advice.
"""


def changes_page() -> str:
    """Return the page of the rules by which contracts are compared."""
    rows = [
        (code(name), rule.reader.name, rule.trainer.name, escaped(rule.reason))
        for name, rule in rules().items()
    ]
    return f"{CHANGES}\n{table(('rule', 'reader', 'trainer', 'reason'), rows)}"


def licences_page() -> str:
    """Return the page of the licences, by family."""
    families: dict[str, list[Licence]] = defaultdict(list)
    for licence in licences().values():
        families[licence.family].append(licence)
    parts = [LICENCES.strip()]
    for family, members in families.items():
        first = members[0]
        terms = [
            ("a derived work may be passed on", first.derivatives),
            ("commercial purposes are allowed", first.commercial),
            ("the source must be credited", first.credit),
        ]
        parts += [
            f"## {family}",
            f"Because {first.because}:",
            "\n".join(f"- {text}: {'yes' if allowed else 'no'}" for text, allowed in terms),
            _members(members),
        ]
    return "\n\n".join(parts)


def _members(members: Sequence[Licence]) -> str:
    if not any(each.under for each in members):
        return f"Licences: {', '.join(code(each.id) for each in members)}."
    rows = [(code(each.id), ", ".join(map(code, sorted(each.under or ())))) for each in members]
    return table(("licence", "derived works may be under"), rows)
