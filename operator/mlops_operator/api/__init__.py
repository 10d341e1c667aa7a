"""The two specs, what was observed, and the operator's settings, as frozen dataclasses.

Parsed once, at the edge; this layer imports no other.
"""
