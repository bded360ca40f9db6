"""The same definitions on a cluster, over Spark Connect: the same kernel, the same bits.

The functions here need the extra `headrace[cluster]`; importing them does not.
"""

from headrace.cluster.frame import ClusterFrame, training_frame
from headrace.cluster.session import connect, sail

__all__ = ["ClusterFrame", "connect", "sail", "training_frame"]
