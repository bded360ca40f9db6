"""The card of a release: what it is, where it comes from, what may be done with it.

`card(store, manifest)` collects the content; `Card.to_json()` renders it as Croissant JSON-LD and
`Card.html()` as one page. All of it is derived from the manifest, its objects and the records
beside it, except for facts that only a person can know: a named person states them in `card.yaml`,
or they read `not_stated`.
"""

from headrace.datasets.card.build import Card, card
from headrace.datasets.card.statement import Statement, load_card

__all__ = ["Card", "Statement", "card", "load_card"]
