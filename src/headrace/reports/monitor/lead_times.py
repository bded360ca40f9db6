"""Time from a delivery to the first model trained on it."""

from collections.abc import Iterator

from headrace.core.clock import parse_iso
from headrace.core.errors import HeadraceError
from headrace.core.home import Home
from headrace.lake.ledger.ledger import Ledger
from headrace.pipeline.definition import Pipeline


def lead_times(pipeline: Pipeline, home: Home) -> Iterator[int]:
    """Yield microseconds from the arrival of each batch to the first champion trained on it."""
    from headrace.models.registry import history

    arrived: dict[tuple[str, str], int] = {}
    with Ledger(home) as ledger:
        for table in pipeline.tables:
            for key, batch in ledger.batches(table.name).items():
                arrived[table.name, key] = batch.received_at
    for champion in history(home, pipeline.model.name):
        promoted_at = parse_iso(champion.since)
        for learned in _learned_from(home, champion.dataset):
            at = arrived.pop(learned, -1)
            if at >= 0:
                yield max(0, promoted_at - at)


def _learned_from(home: Home, dataset: str) -> Iterator[tuple[str, str]]:
    """Yield (table, batch id) for each batch in a release; nothing if the release was erased."""
    from headrace.datasets.store.store import Store

    store = Store.find(home.store)
    try:
        manifest = store.manifest(*store.resolve(dataset))
        for table, source in manifest.inputs.items():
            for batch in store.get_json(source.batch_list) if source.batch_list else ():
                yield table, batch
    except HeadraceError:
        return
