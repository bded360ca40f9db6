"""Dataset releases: immutable, content-addressed, readable without a catalog."""

from headrace.datasets.content_hash import content_hash, content_sum, row_sum
from headrace.datasets.manifest import InputTable, Manifest
from headrace.datasets.reader import Dataset, open_release
from headrace.datasets.reader import open_release as open  # noqa: A004 - the word users know
from headrace.datasets.release import release
from headrace.datasets.spec import DatasetSpec, TimeSplits
from headrace.datasets.splits import label_cuts
from headrace.datasets.store import Store, list_releases

__all__ = [
    "Dataset",
    "DatasetSpec",
    "InputTable",
    "Manifest",
    "Store",
    "TimeSplits",
    "content_hash",
    "content_sum",
    "label_cuts",
    "list_releases",
    "open",
    "open_release",
    "release",
    "row_sum",
]
