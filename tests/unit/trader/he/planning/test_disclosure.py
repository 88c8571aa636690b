"""Li and Micciancio's attack (2021): what a buyer shows of its decryptions must not give its key away."""

import numpy as np
import pytest
from tenseal import sealapi

from tests.simulators.he_models import plan_for, random_inputs, random_network
from trader.he import ClientSession, SessionError, commit_outputs, evaluate, seal

DEGREE, SCALE = 2048, 2.0**20


class Victim:
    """A fresh ciphertext, and its decryption as it comes out of CKKS."""

    def __init__(self):
        self.parameters = seal.parameters(DEGREE, (31, 14))
        self.prime = self.parameters.primes[0]
        self.encoder = sealapi.CKKSEncoder(self.parameters.context)
        generator = sealapi.KeyGenerator(self.parameters.context)
        self.secret = generator.secret_key()
        plaintext, self.ciphertext = sealapi.Plaintext(), sealapi.Ciphertext()
        self.encoder.encode(np.random.default_rng(0).uniform(-1, 1, DEGREE // 2).tolist(), SCALE, plaintext)
        encryptor = sealapi.Encryptor(self.parameters.context, self.secret)
        encryptor.encrypt_symmetric(plaintext, self.ciphertext)
        while not self.residues(self.ciphertext.dyn_array(), start=DEGREE).all():  # the attack divides by all of c1
            encryptor.encrypt_symmetric(plaintext, self.ciphertext)
        decrypted = sealapi.Plaintext()
        sealapi.Decryptor(self.parameters.context, self.secret).decrypt(self.ciphertext, decrypted)
        self.raw = np.array(self.encoder.decode_complex(decrypted))

    def residues(self, array, count=DEGREE, start=0):
        return np.fromiter(map(array.at, range(start, start + count)), dtype=object, count=count)

    def key(self):
        return self.residues(self.secret.data().dyn_array())


def _attack(victim, shown):
    """Encode what was shown, subtract c0, divide by c1: the key, if the encoding is the phase to the last bit."""
    plaintext = sealapi.Plaintext()
    victim.encoder.encode(shown.tolist(), SCALE, plaintext)
    phase = victim.residues(plaintext.dyn_array())
    array = victim.ciphertext.dyn_array()
    first, second = victim.residues(array), victim.residues(array, start=DEGREE)
    inverses = np.array([pow(int(value), -1, victim.prime) for value in second], dtype=object)
    return (phase - first) * inverses % victim.prime


def test_raw_decryptions_give_the_key_away():
    victim = Victim()
    assert (_attack(victim, victim.raw) == victim.key()).all()


@pytest.mark.parametrize("commit_scale_bits", [8, 12])
def test_committed_outputs_do_not(commit_scale_bits):
    victim = Victim()
    committed = commit_outputs(victim.raw.real, commit_scale_bits) / 2.0**commit_scale_bits
    assert (_attack(victim, committed.astype(complex)) == victim.key()).mean() < 0.01


def test_keys_decrypt_one_response_only():
    model = random_network(3, 2)
    inputs = random_inputs(model, 4)
    session = ClientSession(plan_for(model, inputs))
    request = session.encrypt(inputs)
    first, second = (evaluate(session.plan, model, request, 4) for _ in range(2))
    assert (session.decrypt(first) == session.decrypt(first)).all()
    with pytest.raises(SessionError, match="another response"):
        session.decrypt(second)
