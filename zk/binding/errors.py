"""What can be wrong with chunks, their trees and the opening that binds them to a proof.

::

    ZkError
    └── CommitmentError
        ├── ChunkError         the bytes or numbers are not chunks of this layout
        ├── MerkleError        a leaf or a root is not the committed one
        └── BindingError       the running sums or the KZG opening do not bind chunks to commitments
"""

from zk.errors import ZkError


class CommitmentError(ZkError):
    """Root of the errors of `zk.binding`."""


class ChunkError(CommitmentError):
    """Bytes or numbers that are not chunks of the layout."""


class MerkleError(CommitmentError):
    """A leaf or a root is not the committed one."""


class BindingError(CommitmentError):
    """Running sums or opening do not bind the chunks to the proof's commitments."""
