"""Tiles on a GPU, through PyTorch where it is installed: the same exact arithmetic, a whole ciphertext per tile.

Matrix products are cuBLAS' in float64, exact by the bound of `trader.he.ring.residues` in whatever order it adds;
products of two residues are taken in int64. Nothing of PyTorch is imported before `TorchArithmetic` is asked for.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trader.he.errors import DeviceError
from trader.he.ring import residues
from trader.he.types import Residues


class TorchArithmetic:
    """Arithmetic on one of PyTorch's devices.

    Args:
        device: its name, `cuda` or `cuda:1`, or `cpu` to see the same without a GPU.

    Raises:
        DeviceError: PyTorch is not installed, or doesn't have the device.
    """

    block: int | None = None
    chunk_bytes = 1 << 30

    def __init__(self, device: str) -> None:
        try:
            import torch
        except ImportError as error:
            raise DeviceError(f"'{device}' takes PyTorch: pip install torch, or evaluate on the CPU") from error
        self._torch: Any = torch
        try:
            self._device = torch.zeros(1, device=device).device
        except (RuntimeError, AssertionError) as error:
            raise DeviceError(f"PyTorch has no device '{device}': {str(error).splitlines()[0]}") from error

    def scratch(self, _shape: tuple[int, int, int], _as_integers: bool = False) -> None:
        """PyTorch keeps memory by itself."""

    def load(self, blocks: Sequence[Sequence[Residues]], prime: int, _scratch: None) -> Any:
        """Blocks of positions, each of components [size, t'], side by side as a tile."""
        components = [np.concatenate(parts, axis=1) for parts in zip(*blocks, strict=True)]
        parts = [self._torch.from_numpy(part.view(np.int32)) for part in components]
        values = self._torch.stack([part.to(self._device) for part in parts], dim=1).double()
        return values - prime * (values > prime // 2)

    def store(self, tile: Any, prime: int, target: Residues) -> None:
        """Write a tile as residues [size, components, t]."""
        values = self._torch.where(tile < 0, tile + prime, tile)
        target[:] = values.to(self._torch.int32).cpu().numpy().view(np.uint32)

    def prepare_weights(self, weights: NDArray[np.int32], prime: int) -> residues.ExactWeights:
        """Split a matrix [a, b] for exact products."""
        prepared = residues.prepare_weights(weights, prime)
        return replace(prepared, limbs=self._torch.from_numpy(prepared.limbs).to(self._device))

    def multiply_weights(self, weights: Any, values: Any, prime: int) -> Any:
        """Values [..., a, c, t] to [..., b, c, t]."""
        products = self._reduced(weights.limbs @ values.flatten(-2), prime)
        limbs = products.unflatten(-2, (-1, weights.outputs))
        result = limbs[..., -1, :, :]
        for limb in range(limbs.shape[-3] - 2, -1, -1):
            result = self._reduced(result * float(1 << weights.limb_bits) + limbs[..., limb, :, :], prime)
        return result.unflatten(-1, values.shape[-2:])

    def select_values(self, values: Any, indices: NDArray[np.int64], factors: NDArray[np.float64], prime: int) -> Any:
        """Elements by index, each times an integer."""
        chosen, by = (self._torch.from_numpy(array).to(self._device) for array in (indices, factors))
        return self._reduced(values[chosen] * by[:, None, None], prime)

    def multiply_values(self, left: Any, right: Any, prime: int) -> Any:
        """Products of ciphertexts, element by element."""
        shape = (left.shape[0], left.shape[1] + right.shape[1] - 1, left.shape[2])
        result = self._torch.zeros(shape, dtype=self._torch.int64, device=self._device)
        for i in range(left.shape[1]):
            for j in range(right.shape[1]):
                # Centred residues are below 2^30, so the sum of a product and a residue is below 2^61.
                product = left[:, i].long() * right[:, j].long()
                result[:, i + j] = (result[:, i + j] + product) % prime
        return self._centred(result, prime)

    def split_halves(self, values: Any, unit: int, prime: int) -> Any:
        """Ciphertexts [e, 2, t] in conjugate form, [e, 2, 2t]; `unit` is J in the first half of positions."""
        first, second = values[:, 0].long(), values[:, 1].long()
        mirrored = first.flip(-1)
        # 1/J is -J.
        factors = self._torch.full_like(first[0], prime - unit)
        factors[len(factors) // 2 :] = unit
        sums = self._torch.cat([first + mirrored, (first - mirrored) % prime * factors], dim=-1)
        rest = self._torch.cat([second, second % prime * factors], dim=-1)
        return self._centred(self._torch.stack([sums, rest], dim=1) % prime, prime)

    def join_parts(self, values: Any, unit: int, prime: int) -> Any:
        """Values u, then v, [2e, 2, t], as Re u + Im v in conjugate form at twice the scale, [e, 2, t]."""
        u, v = values.long().chunk(2)
        factors = self._torch.full_like(u[0, 0], prime - unit)
        factors[len(factors) // 2 :] = unit
        sums = u[:, 0] + u[:, 0].flip(-1) + (v[:, 0] - v[:, 0].flip(-1)) % prime * factors
        rest = u[:, 1] + v[:, 1] % prime * factors
        return self._centred(self._torch.stack([sums, rest], dim=1) % prime, prime)

    def multiply_conjugates(self, left: Any, right: Any, halves: int, prime: int) -> Any:
        """Products of values in conjugate form, [e, 2, t·halves] to [e, 4, t·halves], of one or both samples."""
        (l0, l1), (r0, r1) = left.long().unbind(1), right.long().unbind(1)
        left_mirrored, right_mirrored = (part.unflatten(-1, (halves, -1)).flip(-1).flatten(-2) for part in (l1, r1))
        # Centred residues are below 2^30, so that two products together are below 2^61.
        products = (l0 * r0, l0 * r1 + l1 * r0, l1 * r1, l1 * right_mirrored + left_mirrored * r1)
        return self._centred(self._torch.stack(products, dim=1) % prime, prime)

    def add_values(self, left: Any, right: Any, prime: int) -> Any:
        """Add values up."""
        return self._reduced(left + right, prime)

    def sum_terms(self, values: Any, terms: int, prime: int) -> Any:
        """Add successive elements up."""
        return self._reduced(values.unflatten(0, (-1, terms)).sum(dim=1), prime)

    def scale_values(self, values: Any, factor: int, prime: int) -> Any:
        """Values times an integer."""
        return values if factor == 1 else self._centred(values.long() * (factor % prime) % prime, prime)

    def add_constants(self, values: Any, constants: NDArray[np.float64], prime: int) -> None:
        """Add constants [e] to first components, in place."""
        addend = self._torch.from_numpy(np.ascontiguousarray(constants)).to(self._device)
        values[:, 0] = self._reduced(values[:, 0] + addend[:, None], prime)

    def gather(self, values: Any, indices: NDArray[np.int64]) -> Any:
        """Elements by index; 0 where it is negative."""
        chosen = self._torch.from_numpy(indices).to(self._device)
        return values[chosen.clamp(min=0)] * (chosen >= 0)[:, None, None]

    def empty(self, shape: tuple[int, ...]) -> Any:
        """Return a tile to be filled."""
        return self._torch.empty(shape, dtype=self._torch.float64, device=self._device)

    def concatenate(self, tiles: Sequence[Any]) -> Any:
        """Elements of all tiles."""
        return self._torch.cat(list(tiles))

    def widen(self, tile: Any, components: int) -> Any:
        """With zero for missing components."""
        return self._torch.nn.functional.pad(tile, (0, 0, 0, components - tile.shape[1]))

    def _reduced(self, values: Any, prime: int) -> Any:
        """Integers of at most 2^53 - q/2 as centred residues, as `kernels.reduce_doubles` rounds."""
        return values - prime * self._torch.round(values / prime)

    def _centred(self, values: Any, prime: int) -> Any:
        """Integers in [0, q) as centred residues."""
        return (values - prime * (values > prime // 2)).double()
