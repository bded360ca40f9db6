"""Comparison of two batches: each column's distance between them, statistics and bar charts."""

from headrace.gates.compare.columns import compare, usual_moves
from headrace.gates.compare.model import Bars, ColumnComparison, Comparison, Stats, Usual

__all__ = ["Bars", "ColumnComparison", "Comparison", "Stats", "Usual", "compare", "usual_moves"]
