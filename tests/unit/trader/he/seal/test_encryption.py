"""What we read from and write to SEAL's objects is what SEAL means by them."""

import numpy as np
import pytest
from tenseal import sealapi

from tests.simulators.he_models import decrypt_slots
from trader.he import SessionError, seal
from trader.he.evaluation.switching import Automorphisms, Folder
from trader.he.layouts.visible import centre
from trader.he.ring.transform import prime_tables, transform
from trader.he.seal import keys as seal_keys
from trader.he.seal import process, serialization, workers
from trader.he.seal.process import HEADER, UNCOMPRESSED, saved, written

DEGREE = 2048
SCALE = 2.0**20


@pytest.fixture(scope="module")
def parameters():
    return seal.parameters(DEGREE, (27, 26, 14))


@pytest.fixture(scope="module")
def key(parameters):
    return seal.SecretKey(parameters)


@pytest.fixture(scope="module")
def public(parameters, key):
    return seal.PublicKey(parameters, key.public_key().expand(parameters.all_primes))


def test_residues_of_a_ciphertext_decrypt_to_what_was_encrypted(parameters, key):
    slots = np.random.default_rng(0).normal(size=DEGREE // 2)
    ciphertext = key.encrypt(slots, SCALE).expand(parameters.primes)
    assert ciphertext.shape == (2, 2, DEGREE)
    assert ciphertext.dtype == np.uint32
    assert (ciphertext.max(axis=(0, 2)) < parameters.primes).all()
    assert np.abs(decrypt_slots(key, ciphertext, SCALE) - slots).max() < 1e-3


def test_residues_are_seals_own_numbers(parameters, key):
    """Read coefficient by coefficient through the bindings, and at once from SEAL's file."""
    zero = sealapi.Ciphertext()
    sealapi.Encryptor(parameters.context, key._key).encrypt_zero_symmetric(zero)
    values = zero.dyn_array()
    slow = np.array([values.at(index) for index in range(values.size())], dtype=np.uint32)
    assert (serialization.read_residues(saved(zero)) == slow.reshape(2, 2, DEGREE)).all()


def _objects(parameters, key):
    """One of each kind that is read from memory."""
    encryptor, generator = sealapi.Encryptor(parameters.context, key._key), key._generator
    ciphertext = sealapi.Ciphertext()
    encryptor.encrypt_zero_symmetric(ciphertext)
    level = parameters.context.key_parms_id()
    yield from (ciphertext, encryptor.encrypt_zero_symmetric(), encryptor.encrypt_zero_symmetric(level))
    yield from (generator.create_relin_keys(), generator.create_galois_keys([3, 2 * DEGREE - 1]))


def test_what_is_read_from_memory_is_what_seal_writes_byte_for_byte(parameters, key):
    for found in _objects(parameters, key):
        own, seals = saved(found), written(found)
        compression = [HEADER.unpack_from(content)[4] for content in (own, seals)]
        assert compression[0] == UNCOMPRESSED != compression[1], type(found)
        assert own[HEADER.size :] == serialization.content_of(seals), type(found)


def test_what_is_not_read_from_memory_seal_writes(parameters, key, monkeypatch):
    assert serialization.content_of(saved(key._key)) == serialization.content_of(written(key._key))
    zero = key._encryptor.encrypt_zero_symmetric()
    expected = serialization.content_of(saved(zero))
    for name, value in (("_DEGREES", (1024,)), ("_SIZES", range(1, 2))):
        with monkeypatch.context() as patch:
            patch.setattr(process, name, value)
            own = saved(zero)
            assert own == written(zero)
            assert serialization.content_of(own) == expected


def test_fewer_slots_than_the_ring_holds(parameters, key):
    slots = np.array([1.5, -2.25, 4.0])
    decrypted = decrypt_slots(key, key.encrypt(slots, SCALE).expand(parameters.primes), SCALE)
    assert np.abs(decrypted[:3] - slots).max() < 1e-3
    assert np.abs(decrypted[3:]).max() < 1e-3


def test_kept_key_is_the_same_key(parameters, key):
    kept = seal.SecretKey(parameters, key.to_bytes())
    ciphertext = key.encrypt(np.array([3.0]), SCALE).expand(parameters.primes)
    assert abs(decrypt_slots(kept, ciphertext, SCALE)[0] - 3) < 1e-3


def test_keys_and_encryptions_are_fresh(parameters, key):
    assert seal.SecretKey(parameters).to_bytes() != key.to_bytes()
    first, second = (key.encrypt(np.zeros(1), SCALE).expand(parameters.primes) for _ in range(2))
    assert (first != second).mean(axis=(1, 2)).min() > 0.99


def test_transform_is_seals(parameters, key):
    """The errors of a ciphertext's phase are small in coefficients only if both agree on the transform."""
    secret = _key_residues(key)
    ciphertext = key.encrypt(np.zeros(1), SCALE).expand(parameters.primes)
    prime = parameters.primes[0]
    phase = ((ciphertext[1, 0].astype(np.uint64) * secret + ciphertext[0, 0]) % prime).astype(np.uint32)
    prime_tables(DEGREE, prime).inverse(phase)
    errors = np.where(phase > prime // 2, phase.astype(np.int64) - prime, phase.astype(np.int64))
    assert 0.8 * seal.ERROR_DEVIATION < errors.std() < 1.2 * seal.ERROR_DEVIATION


def _key_residues(key):
    values = key._key.data().dyn_array()
    return np.array([values.at(index) for index in range(DEGREE)], dtype=np.uint64)


@pytest.mark.parametrize("components", [2, 3])
def test_encryptions_of_zero_decrypt_to_zero_and_differ_everywhere(parameters, key, public, components):
    first, second = (public.encrypt_zero(components) for _ in range(2))
    assert first.shape == (components, 2, DEGREE)
    assert (first != second).mean(axis=(1, 2)).min() > 0.99
    # A slot's noise is 2·r·s, or 4·r·s², of its values of rounding errors and secret key: 21·√DEGREE on average, and
    # their products have long tails. One encryption in 10⁷ exceeds this.
    noise = 320 if components == 2 else 1600 * DEGREE**0.5
    assert np.abs(decrypt_slots(key, first, 1.0)).max() < noise * DEGREE**0.5


def test_secret_key_is_not_shown(key):
    assert repr(key) == "SecretKey(...)"


def test_processes_encrypt_what_threads_encrypt(parameters, key, monkeypatch):
    monkeypatch.setattr(seal_keys, "SMALLEST_SHARED_RESIDUES", 4)
    monkeypatch.setattr(seal_keys, "worker_count", lambda: 2)
    slots = np.random.default_rng(3).normal(size=(20, DEGREE // 2))
    found, steps = {}, []
    with key.encryption(20) as encryption:
        encryption.run(slots.__getitem__, SCALE, found.__setitem__, lambda *step: steps.append(step))
    assert steps == [(done, 20) for done in range(1, 21)]
    assert len({ciphertext.seed for ciphertext in found.values()}) == 20
    for index, ciphertext in found.items():
        assert np.abs(decrypt_slots(key, ciphertext.expand(parameters.primes), SCALE) - slots[index]).max() < 1e-3


def test_a_process_that_dies_is_an_error_and_leaves_none_behind(key, monkeypatch):
    monkeypatch.setattr(seal_keys, "SMALLEST_SHARED_RESIDUES", 4)
    monkeypatch.setattr(seal_keys, "worker_count", lambda: 2)
    started = []

    class Dying(seal_keys.SealProcess):
        def __init__(self, *job, **work):
            super().__init__(*job, **work)
            started.append(self._process)
            self._process.kill()

    monkeypatch.setattr(seal_keys, "SealProcess", Dying)
    ended = pytest.raises(SessionError, match="process that encrypts ended with status -9; run the test again")
    with ended, key.encryption(20) as encryption:
        encryption.run(lambda _: np.zeros(1), SCALE, lambda *_: None)
    assert all(process.poll() is not None for process in started)


def test_what_a_caller_raises_stays_what_it_is(key, monkeypatch):
    monkeypatch.setattr(seal_keys, "SMALLEST_SHARED_RESIDUES", 4)
    monkeypatch.setattr(seal_keys, "worker_count", lambda: 2)

    def slots_of(index):
        raise EOFError("the caller's own")

    with pytest.raises(EOFError, match="the caller's own"), key.encryption(4) as encryption:
        encryption.run(slots_of, SCALE, lambda *_: None)


@pytest.mark.parametrize("widest", [workers.PIPE_BYTES, 2**32 - 1], ids=["as it is", "wider than there are"])
def test_a_process_encrypts_as_often_as_asked_however_late_it_is_read(parameters, key, monkeypatch, widest):
    monkeypatch.setattr(workers, "PIPE_BYTES", widest)
    bits = [prime.bit_length() for prime in parameters.all_primes]
    process = seal_keys.SealProcess(DEGREE, bits, key.to_bytes(), zeros=5)
    try:
        assert process._process.poll() is None
        found = [seal_keys.read_seeded(seal_keys.content_of(process.read())) for _ in range(5)]
        with pytest.raises(EOFError, match="status 0"):
            process.read()
    finally:
        process.close()
    assert len({zero.seed for zero in found}) == 5
    for zero in found:
        assert np.abs(decrypt_slots(key, zero.expand(parameters.primes), 1.0)).max() < 320 * DEGREE**0.5


@pytest.mark.parametrize("secret", [seal.RELINEARISATION, (1, 2 * DEGREE - 1), (2 * DEGREE - 1,) * 2], ids=str)
def test_keys_for_products_of_conjugates_switch_from_them(secret):
    """A random polynomial times s', and what the key makes of it, decrypt to the same but for little noise."""
    parameters = seal.parameters(DEGREE, (27, 26, 31))
    key = seal.SecretKey(parameters)
    (made,) = key.switching_keys([secret])
    switching = np.stack([digit.expand(parameters.all_primes) for digit in made])
    random = np.random.default_rng(9)
    polynomial = np.stack([random.integers(0, prime, DEGREE, dtype=np.uint32) for prime in parameters.primes])
    zero = np.zeros_like(polynomial)
    switched = Folder(parameters, [switching]).fold(np.stack([zero, zero, polynomial]))
    own = transform(key.coefficients()[np.newaxis, np.newaxis], (0,), parameters.primes)[0].astype(object)
    factors = {1: own, 2 * DEGREE - 1: own[:, ::-1]}
    primes = np.array(parameters.primes, dtype=object)[:, np.newaxis]
    expected = polynomial * factors[secret[0]] * factors[secret[1]]
    noise = ((key.phase(switched).astype(object) - expected) % primes).astype(np.uint32)
    for row, prime in zip(noise, parameters.primes, strict=True):
        prime_tables(DEGREE, prime).inverse(row)
    assert 0 < np.abs(centre(noise, parameters.primes)).max() < 2**20


def test_galois_keys_of_another_process_rotate(monkeypatch):
    degree, parameters = 4096, seal.parameters(4096, (27, 26, 31))
    key = seal.SecretKey(parameters)
    monkeypatch.setattr(seal_keys, "SMALLEST_SHARED_KEYS", 3 * degree)
    monkeypatch.setattr(seal_keys, "worker_count", lambda: 2)
    steps = (1, 4, 16)
    elements = [seal.rotation_element(step, degree) for step in steps]
    _, *keys = key.switching_keys([seal.RELINEARISATION, *((e,) for e in elements)])
    expanded = {
        (e,): np.stack([s.expand(parameters.all_primes) for s in k]) for e, k in zip(elements, keys, strict=True)
    }
    rotator = Automorphisms(parameters, expanded)
    slots = np.random.default_rng(4).normal(size=degree // 2)
    ciphertext = key.encrypt(slots, SCALE).expand(parameters.primes)
    for step in steps:
        rotations = rotator.rotations(ciphertext, [step])
        next(rotations)
        assert np.abs(decrypt_slots(key, next(rotations), SCALE).real - np.roll(slots, -step)).max() < 0.05


def test_a_process_that_makes_keys_and_dies_is_an_error(key, monkeypatch):
    monkeypatch.setattr(seal_keys, "SMALLEST_SHARED_KEYS", 0)
    monkeypatch.setattr(seal_keys, "worker_count", lambda: 2)

    class Dying(seal_keys.SealProcess):
        def __init__(self, *job, **work):
            super().__init__(*job, **work)
            self._process.kill()

    monkeypatch.setattr(seal_keys, "SealProcess", Dying)
    with pytest.raises(SessionError, match="process that encrypts ended with status -9; run the test again"):
        key.galois_keys([seal.rotation_element(step, DEGREE) for step in (1, 2)])
