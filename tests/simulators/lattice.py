"""Lattice reduction, for attacks in the tests.

All-integer LLL with delta = 3/4: H. Cohen, A Course in Computational Algebraic Number Theory, algorithm 2.6.7.
"""

from __future__ import annotations


def reduce_lattice(basis: list[list[int]]) -> list[list[int]]:
    """An LLL-reduced basis of the lattice that the rows, which are independent, span."""
    reduction = _Reduction(basis)
    k = 1
    while k < len(basis):
        reduction.orthogonalise(k)
        reduction.shorten(k, k - 1)
        if reduction.is_ordered(k):
            for j in range(k - 2, -1, -1):
                reduction.shorten(k, j)
            k += 1
        else:
            reduction.swap(k)
            k = max(1, k - 1)
    return reduction.rows


class _Reduction:
    """Rows, and their Gram-Schmidt coefficients as integers.

    `determinants[i]` is that of the first i rows' Gram matrix, `coefficients[i][j]` the coefficient of row i on
    row j times `determinants[j + 1]`.
    """

    def __init__(self, basis: list[list[int]]) -> None:
        self.rows = [list(row) for row in basis]
        self.determinants = [1] + [0] * len(basis)
        self.coefficients = [[0] * len(basis) for _ in basis]
        self.known = -1
        self.orthogonalise(0)

    def orthogonalise(self, k: int) -> None:
        """Compute the coefficients of row k, once."""
        if k <= self.known:
            return
        self.known = k
        d, c = self.determinants, self.coefficients
        for j in range(k + 1):
            value = sum(a * b for a, b in zip(self.rows[k], self.rows[j], strict=True))
            for i in range(j):
                value = (d[i + 1] * value - c[k][i] * c[j][i]) // d[i]
            if j < k:
                c[k][j] = value
            else:
                d[k + 1] = value

    def shorten(self, k: int, j: int) -> None:
        """Subtract a multiple of row j from row k."""
        c, determinant = self.coefficients, self.determinants[j + 1]
        quotient = (2 * c[k][j] + determinant) // (2 * determinant)
        if not quotient:
            return
        self.rows[k] = [a - quotient * b for a, b in zip(self.rows[k], self.rows[j], strict=True)]
        c[k][j] -= quotient * determinant
        for i in range(j):
            c[k][i] -= quotient * c[j][i]

    def is_ordered(self, k: int) -> bool:
        """Lovász's condition on rows k - 1 and k."""
        d = self.determinants
        return 4 * (d[k + 1] * d[k - 1] + self.coefficients[k][k - 1] ** 2) >= 3 * d[k] ** 2

    def swap(self, k: int) -> None:
        """Exchange rows k - 1 and k."""
        d, c = self.determinants, self.coefficients
        self.rows[k], self.rows[k - 1] = self.rows[k - 1], self.rows[k]
        c[k][: k - 1], c[k - 1][: k - 1] = c[k - 1][: k - 1], c[k][: k - 1]
        shared = c[k][k - 1]
        changed = (d[k - 1] * d[k + 1] + shared * shared) // d[k]
        for i in range(k + 1, self.known + 1):
            lower = c[i][k]
            c[i][k] = (d[k + 1] * c[i][k - 1] - shared * lower) // d[k]
            c[i][k - 1] = (changed * lower + shared * c[i][k]) // d[k + 1]
        d[k] = changed
