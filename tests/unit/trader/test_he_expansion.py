import hashlib
import struct

import numpy as np
import pytest

from trader.he import expansion, seal
from trader.he.expansion import SEED_BYTES, expand_seed


@pytest.fixture(scope="module", params=[(1024, (27, 14)), (4096, (31, 31, 30, 16))], ids=["1024", "4096"])
def ring(request):
    parameters = seal.parameters(*request.param)
    return parameters, seal.SecretKey(parameters)


def test_seeds_expand_to_what_seal_makes_of_them(ring):
    """SEAL itself loads a seeded ciphertext and writes both components out."""
    parameters, key = ring
    saved = seal.saved(key._encryptor.encrypt_zero_symmetric())
    seeded = seal._seeded(seal._content(saved))
    ciphertext = seal.sealapi.Ciphertext()
    with seal.scratch_file(saved) as path:
        ciphertext.load(parameters.context, path)
    assert (seeded.expand(parameters.primes) == seal._residues(seal.saved(ciphertext))).all()


def _compress(state, message, length):
    """BLAKE2b's compression of a last block (RFC 7693, section 3.2), on Python integers."""
    words = struct.unpack("<16Q", message.ljust(128, b"\0"))
    initial = [int(word) for word in expansion._IV]
    v = [*state, *initial]
    v[12] ^= length
    v[14] ^= 2**64 - 1
    for schedule in expansion._SCHEDULE:
        for index, (a, b, c, d) in enumerate(_PLACES):
            for first, second, word in ((32, 24, 0), (16, 63, 1)):
                v[a] = (v[a] + v[b] + words[schedule[2 * index + word]]) % 2**64
                v[d] = _rotate_right(v[d] ^ v[a], first)
                v[c] = (v[c] + v[d]) % 2**64
                v[b] = _rotate_right(v[b] ^ v[c], second)
    return struct.pack("<8Q", *(state[i] ^ v[i] ^ v[8 + i] for i in range(8)))


_PLACES = [(i, 4 + i, 8 + i, 12 + i) for i in range(4)]
_PLACES += [(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4) for i in range(4)]


def _rotate_right(word, bits):
    return (word >> bits | word << (64 - bits)) % 2**64


def _initial_state(parameters):
    return [int(word) ^ parameter for word, parameter in zip(expansion._IV, parameters, strict=True)]


def test_reference_is_the_standard_librarys_hash():
    state = _initial_state((64 | 1 << 16 | 1 << 24, 0, 0, 0, 0, 0, 0, 0))
    assert _compress(state, b"abc", 3) == hashlib.blake2b(b"abc").digest()


def _blake2xb(seed, counter):
    """A buffer, leaf by leaf: fan-out and depth 0, leaf and inner length 64 (BLAKE2X, section 2)."""
    length = expansion._BUFFER_BYTES << 32
    root = hashlib.blake2b(struct.pack("<Q", counter), key=seed, node_offset=length).digest()
    leaves = [_initial_state((64 | 64 << 32, length | index, 64 << 8, 0, 0, 0, 0, 0)) for index in range(64)]
    return b"".join(_compress(state, root, 64) for state in leaves)


def test_leaves_are_those_of_the_definition():
    seed = bytes(range(SEED_BYTES))
    words = np.empty(3 * expansion._BUFFER_BYTES // 8, dtype=np.uint64)
    expansion._expand_roots(expansion._roots(seed, 5, 8), words)
    assert words.tobytes() == b"".join(_blake2xb(seed, counter) for counter in (5, 6, 7))


def test_words_too_large_are_drawn_again(monkeypatch):
    """They are one in 2^33, so that only made-up ones show what becomes of them."""
    prime, degree = seal.parameters(1024, (27, 14)).primes[0], 1024
    whole = expansion._expand_roots

    def with_large_words(roots, words):
        whole(roots, words)
        if words.size > expansion._BUFFER_BYTES // 8:
            words[[3, 700]] = 2**64 - 1

    expected = expand_seed(bytes(SEED_BYTES), (prime,), degree)[0]
    monkeypatch.setattr(expansion, "_expand_roots", with_large_words)
    found = expand_seed(bytes(SEED_BYTES), (prime,), degree)[0]
    spare = np.frombuffer(_blake2xb(bytes(SEED_BYTES), 2)[:16], dtype="<u8") % prime
    assert found[[3, 700]].tolist() == spare.tolist()
    assert (np.delete(found, [3, 700]) == np.delete(expected, [3, 700])).all()


def test_other_seeds_give_other_polynomials():
    primes = seal.parameters(1024, (27, 14)).primes
    first, second = (expand_seed(bytes([byte]) * SEED_BYTES, primes, 1024) for byte in (1, 2))
    assert (first != second).mean() > 0.99
    assert (first < np.array(primes)[:, np.newaxis]).all()
