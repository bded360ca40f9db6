"""One batch against another, column by column: how far each moved, and what that looks like."""

from headrace.gates.compare.columns import compare, usual_moves
from headrace.gates.compare.model import Bars, ColumnComparison, Comparison, Stats, Usual

__all__ = ["Bars", "ColumnComparison", "Comparison", "Stats", "Usual", "compare", "usual_moves"]
