"""Lineage of rows, batches, releases and models."""

from headrace.lineage.batch_holders import HeldBy, Impact, batches_of, impact

__all__ = ["HeldBy", "Impact", "batches_of", "impact"]
