"""A local Kubernetes cluster of real parts, for the demo, the tests and developers.

It knows nothing of the operator or the pipeline: it starts a cluster, and builds and loads images.
"""
