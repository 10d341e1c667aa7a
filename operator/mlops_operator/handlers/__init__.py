"""From a change in the cluster to a pass of reconcile, and from its plan to the cluster.

All I/O starts here; no decision about a resource is taken here.
"""
