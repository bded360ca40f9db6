"""`read_rows`: the bytes of a delivery as rows of text, with the line each came from."""

from collections.abc import Sequence

from headrace.sources.base import Delivery
from headrace.sources.csv_rows import csv_rows
from headrace.sources.json_rows import ndjson_rows, page_rows
from headrace.sources.rows import Malformed, RawRows

__all__ = ["NULL_TOKENS", "Malformed", "RawRows", "read_rows"]

NULL_TOKENS = ("", "NA")


def read_rows(delivery: Delivery, *, null_tokens: Sequence[str] = NULL_TOKENS) -> RawRows:
    """The rows of `delivery`; what is not a row is listed in `malformed` and never raised.

    Args:
        delivery: its `format` decides how the payload is read.
        null_tokens: unquoted CSV fields that mean null; a quoted one is the text itself.
    """
    if delivery.format == "csv":
        return csv_rows(delivery.payload, null_tokens)
    if delivery.format in ("ndjson", "events"):
        return ndjson_rows(delivery.payload)
    return page_rows(delivery.payload)
