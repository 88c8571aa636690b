"""Containers for requests and responses, checked before anything in them is used.

Whatever comes from the other party passes `read_container` first.
"""

from trader.he.session import Buffer


def digest(container: Buffer) -> bytes:
    """keccak256 that stands for a container on-chain, 32 bytes.

    It covers the header, and the header holds a digest of every part.

    Raises:
        WireError: not a container.
    """
    raise NotImplementedError
