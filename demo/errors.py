"""The one kind of error that a person running the demo is meant to read.

It must stay a single line that says what happened, where, and what to do next.
"""


class DemoError(Exception):
    """Printed as it is, without a traceback; the demo then exits with 1."""
