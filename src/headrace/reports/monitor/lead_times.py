"""How long a delivery takes until a model has learned from it."""

from collections.abc import Iterator

from headrace.core.clock import parse_iso
from headrace.core.errors import HeadraceError
from headrace.core.home import Home
from headrace.lake.ledger.ledger import Ledger
from headrace.pipeline.definition import Pipeline


def lead_times(pipeline: Pipeline, home: Home) -> Iterator[int]:
    """From the arrival of each batch to the first champion that learned from it (us)."""
    from headrace.models.registry import history

    arrived: dict[tuple[str, str], int] = {}
    with Ledger(home) as ledger:
        for table in pipeline.tables:
            for key, batch in ledger.batches(table.name).items():
                arrived[table.name, key] = batch.received_at
    for one in history(home, pipeline.model.name):
        made = parse_iso(one.since)
        for learned in _learned_from(home, one.dataset):
            at = arrived.pop(learned, -1)
            if at >= 0:
                yield max(0, made - at)


def _learned_from(home: Home, dataset: str) -> Iterator[tuple[str, str]]:
    """(table, batch) of everything in a release; nothing where it is gone, as after an erasure."""
    from headrace.datasets.store.store import Store

    store = Store.find(home.store)
    try:
        manifest = store.manifest(*store.resolve(dataset))
        for table, given in manifest.inputs.items():
            for batch in store.get_json(given.batch_list) if given.batch_list else ():
                yield table, batch
    except HeadraceError:
        return
