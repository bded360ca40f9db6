"""`read_rows`: parse a delivery into rows of text with their line numbers."""

from collections.abc import Collection, Sequence

from headrace.core.errors import SourceError
from headrace.sources.base import Delivery
from headrace.sources.delivery_reference import referred
from headrace.sources.files import FORMATS
from headrace.sources.parsing.archives import content
from headrace.sources.parsing.csv_rows import csv_rows
from headrace.sources.parsing.json_rows import event_rows, ndjson_rows, page_rows
from headrace.sources.parsing.parquet_rows import joined, parquet_rows, pieces
from headrace.sources.rows import Malformed, RawRows, no_rows

__all__ = ["NULL_TOKENS", "Malformed", "RawRows", "read_rows"]

NULL_TOKENS = ("", "NA")


def read_rows(
    delivery: Delivery, *, null_tokens: Sequence[str] = NULL_TOKENS, known: Collection[str] = ()
) -> RawRows:
    """Parse the rows of `delivery`; unreadable parts are listed in `malformed`, never raised.

    Args:
        delivery: the delivery; its `format` determines how the payload is parsed.
        null_tokens: CSV fields that mean null if they are not quoted.
        known: fields that the contract declares; the number of other fields in events is limited.
    """
    if delivery.format == "events":
        return event_rows(delivery.payload, frozenset(known))
    if delivery.format == "objects":
        with referred(delivery) as handle:
            return joined(list(pieces(handle)))
    if delivery.format == "pages":
        return page_rows(delivery.payload)
    if delivery.format == "changes":
        return ndjson_rows(delivery.payload)
    return _file_rows(delivery, null_tokens)


def _file_rows(delivery: Delivery, null_tokens: Sequence[str]) -> RawRows:
    """Parse the rows of a file, which may be compressed."""
    try:
        payload = content(delivery.payload, delivery.origin, tuple(FORMATS))
    except SourceError as error:
        return no_rows(Malformed(1, "", error.what))
    if delivery.format == "csv":
        return csv_rows(payload, null_tokens)
    if delivery.format == "parquet":
        return parquet_rows(payload)
    return ndjson_rows(payload)
