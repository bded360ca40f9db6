"""Readers: each turns one kind of source into deliveries, and deliveries into rows of text."""

from headrace.sources.base import Delivery, Format, Source

__all__ = ["Delivery", "Format", "Source"]
