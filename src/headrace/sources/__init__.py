"""Sources: read deliveries from files, object stores, APIs and databases; parse them as text."""

from headrace.sources.base import Delivery, Format, Source

__all__ = ["Delivery", "Format", "Source"]
