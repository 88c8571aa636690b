"""The BN254 scalar field: constants and the map between signed integers and field elements.

Model parameters, inputs and outputs are signed integers; a proof speaks of elements of the scalar field. The map is
the usual one: a negative integer `v` is the element `MODULUS + v`, and an element above the middle is negative.
"""

MODULUS = 21888242871839275222246405745257275088548364400416034343698204186575808495617
"""Order of the BN254 groups, hence the modulus of the scalar field (EIP-196 names it the curve order)."""


def to_field(value: int) -> int:
    """Map a signed integer to its field element.

    Args:
        value: A signed integer with `|value| < MODULUS / 2`.

    Returns:
        The element as an integer in `[0, MODULUS)`.

    Raises:
        ValueError: `value` is too large: the map would not be invertible.
    """
    if abs(value) > MODULUS // 2:
        raise ValueError(f"{value} does not fit the scalar field as a signed integer")
    return value % MODULUS


def to_signed(element: int) -> int:
    """Map a field element to the signed integer that it stands for (the inverse of `to_field`).

    Args:
        element: A canonical element, `0 <= element < MODULUS`.

    Returns:
        The integer in `(-MODULUS / 2, MODULUS / 2]` that is congruent to `element`.

    Raises:
        ValueError: `element` is not canonical.
    """
    if not 0 <= element < MODULUS:
        raise ValueError(f"{element} is not a canonical element of the scalar field")
    return element if element <= MODULUS // 2 else element - MODULUS


def element_to_hex(element: int) -> str:
    """Ezkl's notation of a field element: 32 bytes, little-endian."""
    return element.to_bytes(32, "little").hex()


def element_from_hex(text: str) -> int:
    """Inverse of `element_to_hex`."""
    return int.from_bytes(bytes.fromhex(text), "little")
