"""What can go wrong with an artifact store.

::

    TraderError
    └── StoreError               the store can't be used so: its URL, an artifact's name
        ├── ArtifactTooLargeError  more bytes than were allowed; nothing of them is kept
        ├── MissingArtifactError   the store has no artifact with this digest
        ├── DamagedArtifactError   what the store has under this digest are other bytes
        └── StoreFaultError        it does not answer, is full or refuses; an EnvironmentFaultError as well: try again
"""

from __future__ import annotations

from trader.errors import EnvironmentFaultError, TraderError


class StoreError(TraderError):
    """An artifact store can't be used so; root of the errors of `trader.artifacts`."""


class ArtifactTooLargeError(StoreError):
    """An artifact has more bytes than were allowed; nothing of it is kept."""


class MissingArtifactError(StoreError):
    """The store has no artifact with this digest: it was deleted, or never put."""


class DamagedArtifactError(StoreError):
    """What the store has under a digest are other bytes: put the artifact again, and look after the store's disk."""


class StoreFaultError(StoreError, EnvironmentFaultError):
    """The store does not answer, is full or refuses; nothing is lost, try again."""
