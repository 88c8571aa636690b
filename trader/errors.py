"""The root of the trader's exceptions: catch `TraderError` once, at the edge."""


class TraderError(Exception):
    """Something in a trade went wrong; the message says what, and what to do next."""
