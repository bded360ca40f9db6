"""Ties: row versions of one key that can be ordered only by their content."""

from headrace.cluster.session import DataFrame
from headrace.features.table_shapes import TableShape


def has_ties(shape: TableShape, rows: DataFrame) -> bool:
    """Return True if two rows share primary key, known_at and sequence; this runs on the cluster.

    Only then are all columns of the table needed (rule 6 of the feature semantics).
    """
    from pyspark.sql import functions

    lowest = functions.lit(-(2**63)).cast("long")
    by = [rows[name] for name in (*shape.primary_key, "known_at")]
    if shape.sequence:
        by.append(functions.coalesce(rows[shape.sequence], lowest).alias(shape.sequence))
    counted = rows.select(*by).groupBy(*rows.select(*by).columns).count()
    ties: bool = counted.filter("count > 1").limit(1).count() > 0
    return ties
