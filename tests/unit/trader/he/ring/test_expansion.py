import hashlib
import struct

import numpy as np
import pytest
from tenseal import sealapi

from trader.he import seal
from trader.he.ring import expansion
from trader.he.ring.expansion import SEED_BYTES, Expansion, expand_seed
from trader.he.seal import process, serialization


def _expanded(seed, primes, degree):
    residues = np.empty((len(primes), degree), dtype=np.uint32)
    expand_seed(seed, primes, residues)
    return residues


@pytest.fixture(scope="module", params=[(1024, (27, 14)), (4096, (31, 31, 30, 16))], ids=["1024", "4096"])
def ring(request):
    parameters = seal.parameters(*request.param)
    return parameters, seal.SecretKey(parameters)


def test_seeds_expand_to_what_seal_makes_of_them(ring):
    """SEAL itself loads a seeded ciphertext and writes both components out."""
    parameters, key = ring
    saved = process.saved(key._encryptor.encrypt_zero_symmetric())
    seeded = serialization.read_seeded(serialization.content_of(saved))
    ciphertext = sealapi.Ciphertext()
    with process.scratch_file(saved) as path:
        ciphertext.load(parameters.context, path)
    assert (seeded.expand(parameters.primes) == serialization.read_residues(process.saved(ciphertext))).all()


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


def _words_of(seed):
    return np.frombuffer(seed, dtype="<u8")


def test_leaves_are_those_of_the_definition():
    seed = bytes(range(SEED_BYTES))
    words = expansion._words(_words_of(seed), 5, 8)
    assert words.tobytes() == b"".join(_blake2xb(seed, counter) for counter in (5, 6, 7))


def test_words_too_large_are_drawn_again(monkeypatch):
    """They are one in 2^33, so that only a limit that is too small shows what becomes of them."""
    prime, degree, seed = seal.parameters(1024, (27, 14)).primes[0], 1024, bytes(SEED_BYTES)
    words = np.frombuffer(b"".join(_blake2xb(seed, counter) for counter in range(4)), dtype="<u8")
    limit = np.sort(words[:degree])[-2]
    expected = words[:degree] % prime
    fitting = iter(words[degree:][words[degree:] < limit])
    for position in np.flatnonzero(words[:degree] >= limit):
        expected[position] = next(fitting) % prime
    residues = np.empty((1, degree), dtype=np.uint32)
    expand_seed(seed, (prime,), residues)
    assert (residues[0] == words[:degree] % prime).all()
    monkeypatch.setattr(expansion, "_limit", lambda _: int(limit))
    expand_seed(seed, (prime,), residues)
    assert (residues[0] == expected).all()
    assert (residues[0] != words[:degree] % prime).sum() == 2
    second_half = np.empty((1, degree // 2), dtype=np.uint32)
    Expansion.of([seed], (prime,), degree).write(0, degree // 2, second_half)
    assert (second_half == residues[:, degree // 2 :]).all()


def test_parts_are_those_of_the_whole(ring):
    primes, degree = ring[0].primes, ring[0].degree
    seeds = [bytes([byte]) * SEED_BYTES for byte in range(3)]
    polynomials, whole = Expansion.of(seeds, primes, degree), [_expanded(seed, primes, degree) for seed in seeds]
    for index in range(len(primes)):
        part = np.empty((3, 512), dtype=np.uint32)
        polynomials.write(index, 512, part)
        assert (part == np.stack(whole)[:, index, 512:1024]).all()


@pytest.mark.parametrize("prime", [12289, 134176769, 2147352577])
def test_words_are_reduced_exactly(prime):
    seed, degree = bytes([7]) * SEED_BYTES, 4096
    words = expansion._words(_words_of(seed), 0, degree // 512)
    assert (_expanded(seed, (prime,), degree)[0] == words % np.uint64(prime)).all()


def test_other_seeds_give_other_polynomials():
    primes = seal.parameters(1024, (27, 14)).primes
    first, second = (_expanded(bytes([byte]) * SEED_BYTES, primes, 1024) for byte in (1, 2))
    assert (first != second).mean() > 0.99
    assert (first < np.array(primes)[:, np.newaxis]).all()
