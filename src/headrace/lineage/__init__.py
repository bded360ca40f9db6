"""Where things come from, and where they went."""

from headrace.lineage.impact import HeldBy, Impact, batches_of, impact

__all__ = ["HeldBy", "Impact", "batches_of", "impact"]
