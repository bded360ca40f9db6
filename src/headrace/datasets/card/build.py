"""Content of a card, collected once; `croissant` and the card page render it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.core.clock import now_us
from headrace.core.hooks import provided
from headrace.datasets.card.statement import NOT_STATED, Statement, from_json
from headrace.datasets.evaluation_access import count_all
from headrace.datasets.manifest import Manifest
from headrace.datasets.store.store import Store
from headrace.datasets.taint import taints
from headrace.datasets.vocabulary import EVALUATION


@dataclass(frozen=True)
class Card:
    """Content of the card of a release.

    Attributes:
        store, manifest: the release, and the store that holds it.
        created_at: when the release was made, RFC 3339.
        stated: statements by people, by field of the card.
        tainted: one sentence for each recalled batch that taints the release.
        coverage: the coverage report; empty if there is none.
        looks: number of accesses to the evaluation splits of the dataset; None if the release has
            no evaluation split.
        made_at: when the card was made, int64 microseconds UTC.
    """

    store: Store
    manifest: Manifest
    created_at: str
    stated: Mapping[str, Statement] = field(default_factory=dict)
    tainted: tuple[str, ...] = ()
    coverage: Mapping[str, Any] = field(default_factory=dict)
    looks: int | None = None
    made_at: int = 0

    def statement_text(self, name: str) -> str:
        """Text of the statement on a field, or `not_stated`."""
        return self.stated[name].text if name in self.stated else NOT_STATED

    def to_json(self, folder: Path | str | None = None) -> dict[str, Any]:
        """Croissant 1.1 JSON-LD.

        Links to objects are relative to `folder`, where the document will be saved; by default
        the root of the store.
        """
        from headrace.datasets.card.croissant import croissant

        return croissant(self, folder)

    def html(self) -> str:
        """The card as one self-contained HTML page that needs no network."""
        return str(provided("card_page")(self))

    def _repr_html_(self) -> str:
        """Notebook form: the page in its own iframe, so that its style does not leak."""
        from html import escape

        source = escape(self.html(), quote=True)
        return f'<iframe srcdoc="{source}" style="width:100%;height:70vh;border:0"></iframe>'


def card(store: Store, manifest: Manifest) -> Card:
    """The card of a release of `store`. Raises StateError if one of its documents is damaged."""
    stated = store.get_json(manifest.card) if manifest.card else {"statements": []}
    return Card(
        store=store,
        manifest=manifest,
        created_at=str(store.created(manifest.name, manifest.version)["created_at"]),
        stated=from_json(stated),
        tainted=tuple(map(str, taints(store, manifest))),
        coverage=store.get_json(manifest.coverage) if manifest.coverage else {},
        looks=count_all(store, manifest.name) if EVALUATION in manifest.splits else None,
        made_at=now_us(),
    )
