"""Whether two rows of a table are versions of one key with nothing but content to order them."""

from headrace.cluster.session import DataFrame
from headrace.features.table_shapes import TableShape


def has_ties(shape: TableShape, rows: DataFrame) -> bool:
    """Whether rows share primary key, known_at and sequence; the cluster is asked at once.

    Only then are all columns of the table needed (rule 6).
    """
    from pyspark.sql import functions

    least = functions.lit(-(2**63)).cast("long")
    by = [rows[name] for name in (*shape.primary_key, "known_at")]
    if shape.sequence:
        by.append(functions.coalesce(rows[shape.sequence], least).alias(shape.sequence))
    counted = rows.select(*by).groupBy(*rows.select(*by).columns).count()
    found: bool = counted.filter("count > 1").limit(1).count() > 0
    return found
