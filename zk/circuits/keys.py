"""Read ezkl's verifying key and its EVM artifact (vka), and check what they must not contain.

*Verifying key file*: 3 bytes (version, k, selector compression), u32 number of fixed columns, their commitments, then
one commitment sigma_c per column of the permutation argument; points are 64 bytes, little-endian Montgomery. Committed
columns come first in the permutation.

*vka file*: u64 count (little-endian), then 32-byte words that the on-chain verifier loads at 0xa0. The words used here:
3 number of evaluations, 14-15 G1, 16-19 G2, 20-23 -[τ]G2, 33… what the proof holds per challenge phase, then the fixed
columns' commitments and the sigma_c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth_utils.crypto import keccak
from py_ecc.fields import optimized_bn128_FQ as FQ
from py_ecc.optimized_bn128.optimized_curve import field_modulus, multiply, normalize

from zk.errors import CircuitError, ForeignSrsPointsError, UnlinkedColumnError
from zk.field import MODULUS

if TYPE_CHECKING:
    from zk.setup.srs import Srs

WORD_BYTES = 32
POINT_BYTES = 64
MAX_VKA_WORDS = 1 << 14

_DELTA = 4131629893567559867359510883348571134090853742863529169391034518566172092834
"""Generator of the t-order multiplicative subgroup: halo2's permutation argument numbers columns by its powers."""

_VK_HEADER_BYTES = 7
_EVALUATIONS, _G1, _PHASES = 3, 14, 33
_MONTGOMERY_INVERSE = pow(1 << 256, -1, field_modulus)


def read_vka(data: bytes) -> tuple[bytes, ...]:
    """Split a vka file into its words.

    Raises:
        CircuitError: The length is not that of the announced number of words.
    """
    count = int.from_bytes(data[:8], "little")
    if not _PHASES < count <= MAX_VKA_WORDS or len(data) != 8 + count * WORD_BYTES:
        raise CircuitError(f"a verifying key artifact of {len(data)} bytes can't hold {count} words: build it again")
    return tuple(data[at : at + WORD_BYTES] for at in range(8, len(data), WORD_BYTES))


def vka_digest(vka: tuple[bytes, ...]) -> bytes:
    """keccak256 over the words: what the on-chain verifier returns, the listing's `circuitDigest`."""
    return keccak(b"".join(vka))


def count_evaluations(vka: tuple[bytes, ...]) -> int:
    """Return the number of polynomial evaluations in a proof."""
    return int.from_bytes(vka[_EVALUATIONS], "big")


def proof_bytes(vka: tuple[bytes, ...]) -> int:
    """Return the exact length of a proof: points of each challenge phase, evaluations, two points of the opening."""
    points = 0
    for word in _phase_words(vka):
        data = int.from_bytes(word, "big")
        while data:
            points += data & 0xFFFF
            data >>= 24
    return points + WORD_BYTES * count_evaluations(vka) + 2 * POINT_BYTES


def _phase_words(vka: tuple[bytes, ...]) -> list[bytes]:
    """Per phase u16 bytes of points and u8 challenges, from the low end; the first byte is the number of words."""
    count = vka[_PHASES][-1]
    first = (int.from_bytes(vka[_PHASES], "big") >> 8).to_bytes(WORD_BYTES, "big")
    return [first, *vka[_PHASES + 1 : _PHASES + count]]


def verify_srs_points(vka: tuple[bytes, ...], srs: Srs) -> None:
    """Check that a vka carries the points of the given SRS; silent on success.

    A foreign [τ]G2 may be one whose τ its author knows: with it, any proof can be forged.

    Raises:
        ForeignSrsPointsError: It carries others.
    """
    (a, b), (c, d) = srs.g2
    (e, f), (g, h) = srs.tau_g2
    expected = [1, 2, b, a, d, c, f, e, field_modulus - h, field_modulus - g]
    for index, value in enumerate(expected, start=_G1):
        if int.from_bytes(vka[index], "big") != value % field_modulus:
            raise ForeignSrsPointsError(
                f"word {index} of the verifying key artifact is 0x{vka[index].hex()}, the SRS has {value:#066x}: "
                "its author may know the trapdoor; don't trade on it"
            )


def verify_linked_columns(verifying_key: bytes, vka: tuple[bytes, ...], committed_columns: int, srs: Srs) -> None:
    """Check that every committed column is tied to the computation; silent on success.

    halo2 binds cells by a permutation; a column none of whose cells is bound has sigma_c = delta^c·[τ]G1. ezkl
    leaves columns like that in some configurations, and such a commitment says nothing about the computation.

    Not checked: that *each* cell of a column is bound; the graph decides that, and salt cells of tensor 0 are free.

    Raises:
        UnlinkedColumnError: A committed column is the identity.
        CircuitError: Key and artifact disagree, or are not in the expected format.
    """
    fixed = int.from_bytes(verifying_key[3:_VK_HEADER_BYTES], "little")
    first_key_byte = _VK_HEADER_BYTES + fixed * POINT_BYTES
    first_vka_word = _PHASES + vka[_PHASES][-1] + 2 * fixed
    x, y = srs.tau_g1
    tau = (FQ(x), FQ(y), FQ(1))
    for column in range(committed_columns):
        at = first_key_byte + column * POINT_BYTES
        sigma = _montgomery_point(verifying_key[at : at + POINT_BYTES])
        word = first_vka_word + 2 * column
        if sigma != tuple(int.from_bytes(w, "big") for w in vka[word : word + 2]):
            raise CircuitError(f"verifying key and artifact disagree on permutation column {column}: build them again")
        identity = normalize(multiply(tau, pow(_DELTA, column, MODULUS)))
        if sigma == tuple(int(coordinate) for coordinate in identity):
            raise UnlinkedColumnError(
                f"committed column {column} is not tied to the computation (identity permutation): "
                "a proof would say nothing about it; every input of architecture.onnx must be used"
            )


def _montgomery_point(data: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(data[at : at + 32], "little") * _MONTGOMERY_INVERSE % field_modulus for at in (0, 32))
