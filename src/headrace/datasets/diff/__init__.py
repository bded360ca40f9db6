"""Differences of two releases: rows, cells, columns, splits, definitions and governance."""

from headrace.datasets.diff.compute import diff
from headrace.datasets.diff.model import ReleaseDiff

__all__ = ["ReleaseDiff", "diff"]
