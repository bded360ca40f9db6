"""Dataset releases: immutable, content-addressed, readable without a catalog.

The code that makes releases is imported on first use, so that opening a release needs only
pyarrow.
"""

from typing import TYPE_CHECKING

from headrace.datasets.hashing.content_hash import ContentSum, content_hash, content_sum, row_sum
from headrace.datasets.manifest import InputTable, Manifest
from headrace.datasets.reader import Dataset, open_release
from headrace.datasets.reader import open_release as open  # noqa: A004 - the word users know
from headrace.datasets.store.listing import list_releases
from headrace.datasets.store.store import Store

if TYPE_CHECKING:
    from headrace.datasets.fits.transforms import Impute, Scale, TargetMean, Vocabulary
    from headrace.datasets.release_writer import release
    from headrace.datasets.spec import DatasetSpec
    from headrace.datasets.splits.assignment import label_cuts
    from headrace.datasets.splits.rules import (
        Evaluation,
        GroupSplits,
        Leakage,
        StratifiedSplits,
        TimeSplits,
    )

__all__ = [
    "ContentSum",
    "Dataset",
    "DatasetSpec",
    "Evaluation",
    "GroupSplits",
    "Impute",
    "InputTable",
    "Leakage",
    "Manifest",
    "Scale",
    "Store",
    "StratifiedSplits",
    "TargetMean",
    "TimeSplits",
    "Vocabulary",
    "content_hash",
    "content_sum",
    "label_cuts",
    "list_releases",
    "open",
    "open_release",
    "release",
    "row_sum",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    home = {
        "release": "release_writer",
        "label_cuts": "splits.assignment",
        "DatasetSpec": "spec",
        "Evaluation": "splits.rules",
        "GroupSplits": "splits.rules",
        "Leakage": "splits.rules",
        "StratifiedSplits": "splits.rules",
        "TimeSplits": "splits.rules",
        "Impute": "fits.transforms",
        "Scale": "fits.transforms",
        "TargetMean": "fits.transforms",
        "Vocabulary": "fits.transforms",
    }
    if name not in home:
        raise AttributeError(f"module 'headrace.datasets' has no attribute {name!r}")
    return getattr(import_module(f"headrace.datasets.{home[name]}"), name)
