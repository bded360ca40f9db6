"""Sketches: mergeable counts of a column, from which all statistics are computed later.

Numbers are counted in histogram cells, which are the same for all columns; strings are counted by
category; distinct values are estimated by HyperLogLog. Merging adds counts and takes the greater of
two registers. So quantiles, histograms with cell borders as edges, and distinct counts of any union
of partitions are computed from the partitions' sketches, as if all rows had been sketched together.
"""

from headrace.sketches.arrays import Kind, kind_of, levels, numbers, one_array, token, tokens
from headrace.sketches.counting import of_counts, row_sums, sketch
from headrace.sketches.histogram_cells import ERROR, cells_of, least_value, ordered
from headrace.sketches.sketch import LEVELS, Sketches, coarsened, joined, merged, regrouped, stacked

__all__ = [
    "ERROR",
    "LEVELS",
    "Kind",
    "Sketches",
    "cells_of",
    "coarsened",
    "joined",
    "kind_of",
    "least_value",
    "levels",
    "merged",
    "numbers",
    "of_counts",
    "one_array",
    "ordered",
    "regrouped",
    "row_sums",
    "sketch",
    "stacked",
    "token",
    "tokens",
]
