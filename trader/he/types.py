"""Types that several modules of this package share."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Residues: TypeAlias = NDArray[np.uint32]
"""Residues modulo word-sized primes, each in [0, q)."""

Words: TypeAlias = NDArray[np.uint64]
"""Residues in 64-bit words, as SEAL stores them."""

Progress: TypeAlias = Callable[[int, int], None]
"""Called with (steps done, steps in all)."""

Advance: TypeAlias = Callable[[], None]
"""Called after each step; the caller counts the steps."""

Buffer: TypeAlias = bytes | bytearray | memoryview
"""Bytes that are read and never written."""
