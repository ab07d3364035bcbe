"""The one exception of this room."""


class ScoringError(Exception):
    """Input that cannot be scored; the message says what is wrong, where, and how to mend it."""
