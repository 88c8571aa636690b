"""Arithmetic of polynomials modulo X^N + 1 and word-sized primes. Nothing here knows of keys or models.

Read `residues` (numbers), `transform` (polynomials and their values) and `encoding` (slots), in that order; `kernels`
are the compiled loops under all of them, `expansion` and `sampling` make random polynomials, from seeds and without.
"""
