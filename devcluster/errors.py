"""The one exception of the local cluster. It carries no more than the line that the user reads."""


class DevclusterError(Exception):
    """What happened, where, and what to do next, in one line."""
