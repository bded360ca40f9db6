"""Training sets on a cluster over Spark Connect: same definitions, same kernel, same bits.

Calling these functions needs the extra `headrace[cluster]`; importing them does not.
"""

from headrace.cluster.frame import ClusterFrame, training_frame
from headrace.cluster.session import connect, sail

__all__ = ["ClusterFrame", "connect", "sail", "training_frame"]
