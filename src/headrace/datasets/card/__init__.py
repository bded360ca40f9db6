"""The card of a release: what it is, where it comes from, what may be done with it.

`card(store, manifest)` gathers; `Card.to_json()` is Croissant JSON-LD, `Card.html()` one readable
page. All of it is derived from the manifest, its objects and the records beside it, except what
only a person can know: somebody states it in `card.yaml`, by name, or it reads `not_stated`.
"""

from headrace.datasets.card.build import Card, card
from headrace.datasets.card.statement import Statement, load_card

__all__ = ["Card", "Statement", "card", "load_card"]
