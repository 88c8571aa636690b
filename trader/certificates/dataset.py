"""A public data set, and the digests by which everybody means the same one.

The digests are over values, not over files: keccak256 of

- data: `modelseal/data/1` ‖ uint64 n ‖ uint64 F ‖ n·F float64 (all big-endian, row-major; -0 counts as 0);
- labels: `modelseal/labels/1` ‖ the labels as a JSON array in canonical form (RFC 8785).

So the same numbers have the same digests as CSV, NPY or NPZ. The order of the rows is part of the data set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import rfc8785
from eth_utils.crypto import keccak

from trader.certificates.errors import CertificationError
from trader.model import read_labels, read_samples

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from trader.model.columns import Column

_DATA_DOMAIN = b"modelseal/data/1"
_LABELS_DOMAIN = b"modelseal/labels/1"
_COUNT_BYTES = 8


@dataclass(frozen=True, slots=True)
class Dataset:
    """A named data set for classification.

    Attributes:
        name: what people call it; nobody checks it.
        samples: float64 [n, F], in the order in which they are proven.
        labels: [n], int64, float64 or str: the true classes.
    """

    name: str
    samples: NDArray[np.float64] = field(repr=False)
    labels: NDArray[Any] = field(repr=False)

    @classmethod
    def read(cls, name: str, data: Path, labels: Path, features: int, columns: Sequence[Column] = ()) -> Dataset:
        """Read it from files (.csv, .npy or .npz): features, or the original's columns, which are expanded.

        Raises:
            DataError: a file can't be read, or the numbers of rows or columns don't fit.
        """
        samples = read_samples(data, features, columns)
        return cls(name, samples, read_labels(labels, len(samples)))

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def data_digest(self) -> bytes:
        """keccak256 of the samples in canonical form."""
        counts = b"".join(count.to_bytes(_COUNT_BYTES, "big") for count in self.samples.shape)
        positive_zeros = self.samples + 0.0
        return keccak(_DATA_DOMAIN + counts + positive_zeros.astype(">f8").tobytes())

    @property
    def labels_digest(self) -> bytes:
        """keccak256 of the labels in canonical form.

        Raises:
            CertificationError: a label is an integer from 2^53 on, or not a finite number.
        """
        try:
            return keccak(_LABELS_DOMAIN + rfc8785.dumps(self.labels.tolist()))
        except (rfc8785.CanonicalizationError, UnicodeError) as error:
            raise CertificationError(
                f"the labels have no canonical form: {error}. Use small integers or text."
            ) from error
