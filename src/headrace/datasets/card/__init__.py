"""Dataset card of a release: content, origin and permitted uses.

`card(store, manifest)` collects the content; `Card.to_json()` renders it as Croissant JSON-LD and
`Card.html()` as one page. All content is derived from the manifest, its objects and the records
beside it, except for facts that only a person can know: a named person states these in
`card.yaml`; without a statement the card shows `not_stated`.
"""

from headrace.datasets.card.build import Card, card
from headrace.datasets.card.statement import Statement, load_card

__all__ = ["Card", "Statement", "card", "load_card"]
