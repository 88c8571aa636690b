"""User data: CSV, NPY and NPZ files with samples or labels."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_samples(path: Path, features: int) -> NDArray[np.float64]:
    """Samples float64 [n, features] from a .csv, .npy or .npz file.

    Raises:
        DataError: names file, line and column.
    """
    raise NotImplementedError


def read_labels(path: Path, samples: int) -> NDArray[Any]:
    """Labels [samples] (int64, or str) from a .csv, .npy or .npz file.

    Raises:
        DataError: names file, line and column.
    """
    raise NotImplementedError
