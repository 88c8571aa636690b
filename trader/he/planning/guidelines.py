"""Security of ring-LWE encryption by ring degree and modulus.

The levels are those of Bossuat et al., "Security Guidelines for Implementing Homomorphic Encryption", IACR
Communications in Cryptology 1(4), 2025 (ePrint 2024/463), table 5.2: uniform ternary secrets, errors of deviation 3.19,
classical attacks. Nowhere do they allow more than the Homomorphic Encryption Standard (Albrecht et al., 2018, table 1),
by which SEAL checks parameters: newer attacks cost up to 14 bits of modulus.
"""

MAXIMUM_MODULUS_BITS = {
    128: {1024: 26, 2048: 53, 4096: 106, 8192: 214, 16384: 430, 32768: 868},
    192: {2048: 36, 4096: 73, 8192: 147, 16384: 297, 32768: 597},
    256: {2048: 27, 4096: 56, 8192: 114, 16384: 230, 32768: 462},
}
"""Largest total modulus (special prime included) by security bits and ring degree; missing degrees have none."""


def security_level(ring_degree: int, total_modulus_bits: int) -> int:
    """Return the bits of security by the table of the guidelines; 0 where they are below 128."""
    levels = (bits for bits, table in MAXIMUM_MODULUS_BITS.items() if total_modulus_bits <= table.get(ring_degree, 0))
    return max(levels, default=0)
