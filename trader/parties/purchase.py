"""What a buyer has committed to with its purchase, as it keeps it for the rest of the trade."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np

from contracts import outputs_digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

SALT_BYTES = 32


@dataclass(frozen=True, eq=False)
class Purchase:
    """The audit samples of a buyer's choice, and what it saw for them.

    The outputs and their salt are the opening of a digest on the chain. Never show them to the seller: they come from
    decryption, and from those of a crafted response it reads the secret key (decision record 0024).

    Attributes:
        rows: int64 [k], ascending, of the audit samples in the test set.
        outputs: int64 [k, O] at the listing's commit scale, as seen: rounded and dithered.
        salt: 32 bytes, random.
        input_commitment: Digest of the samples' KZG commitments, 32 bytes.
    """

    rows: NDArray[np.int64]
    outputs: NDArray[np.int64] = field(repr=False)
    input_commitment: bytes
    salt: bytes = field(repr=False, default_factory=lambda: secrets.token_bytes(SALT_BYTES))

    @property
    def outputs_digest(self) -> bytes:
        """What the chain is shown of the outputs (`contracts.outputs_digest`)."""
        return outputs_digest(self.salt, self.outputs.ravel().tolist())

    def encode(self) -> bytes:
        """Return the record as JSON."""
        kept = {
            "rows": self.rows.tolist(),
            "outputs": self.outputs.tolist(),
            "salt": self.salt.hex(),
            "input_commitment": self.input_commitment.hex(),
        }
        return json.dumps(kept).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what `encode` gave; it comes from the buyer's own folder."""
        kept = json.loads(data)
        return cls(
            rows=np.array(kept["rows"], dtype=np.int64),
            outputs=np.array(kept["outputs"], dtype=np.int64),
            input_commitment=bytes.fromhex(kept["input_commitment"]),
            salt=bytes.fromhex(kept["salt"]),
        )
