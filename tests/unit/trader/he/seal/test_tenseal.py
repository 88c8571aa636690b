"""Traps of TenSEAL that the design must not fall into; each test shows the trap, or that our path avoids it."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tenseal
from tenseal import sealapi

from tests.simulators.he_models import plan_for, random_inputs, random_network
from trader.he import ClientSession, WireError, evaluate, seal

CONTEXT = """
import tenseal
context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 40, 60])
context.global_scale = 2.0**40
"""


def _run(code):
    """TenSEAL in a process of its own: some of what follows reads out of bounds."""
    source = CONTEXT + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120)


def _claim_size(serialized, size):
    """The same vector, claiming another number of elements (first field of the message)."""
    assert serialized[:2] == b"\x0a\x01"
    return serialized[:2] + bytes([size]) + serialized[3:]


def test_mm_leaves_other_combinations_of_the_weights_in_unused_slots():
    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 40, 60])
    context.global_scale = 2.0**40
    context.generate_galois_keys()
    sample, weights = np.arange(1.0, 9.0), np.random.default_rng(0).normal(size=(8, 3))
    product = tenseal.ckks_vector(context, sample.tolist()).mm(weights.tolist())
    wider = tenseal.ckks_vector_from(context, _claim_size(product.serialize(), 127))
    slots = np.array(wider.decrypt())
    assert np.allclose(slots[:3], sample @ weights, atol=1e-3)
    assert np.abs(slots[3:]).max() > 1e-2


def test_tenseal_trusts_the_claimed_size_of_a_vector():
    result = _run(
        """
        vector = tenseal.ckks_vector(context, [1.0, 2.0, 3.0]).serialize()
        assert vector[:3] == bytes([10, 1, 3])
        forged = vector[:1] + bytes([3, 255, 255, 3]) + vector[3:]
        print("size", tenseal.ckks_vector_from(context, forged).size())
        """
    )
    assert "size 65535" in result.stdout  # a ciphertext of this ring holds 4096


def test_tenseal_accepts_nothing_as_a_vector():
    result = _run('print("size", tenseal.ckks_vector_from(context, b"").size())')
    assert "size 0" in result.stdout


def test_we_accept_neither_nothing_nor_a_claimed_size():
    model = random_network(3, 2)
    inputs = random_inputs(model, 4)
    plan = plan_for(model, inputs)
    request = ClientSession(plan).encrypt(inputs)
    with pytest.raises(WireError):
        evaluate(plan, model, b"", 4)
    with pytest.raises(WireError):
        evaluate(plan, model, request, 2)


def test_tenseal_contexts_carry_secret_keys_and_we_refuse_them():
    model = random_network(3, 2)
    plan = plan_for(model, random_inputs(model, 4))
    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 40, 60])
    serialized = context.serialize(save_secret_key=True)
    assert tenseal.context_from(serialized).is_private()
    with pytest.raises(WireError, match="not a container"):
        evaluate(plan, model, serialized, 4)


def test_parameters_are_pinned_by_hash():
    """Same degree, other primes: another identifier; same sizes: the same one."""
    first, second = (seal.parameters(2048, bits) for bits in ((27, 13 + 1), (26, 14)))
    assert first.parameters_id != second.parameters_id
    seal.parameters.cache_clear()
    assert seal.parameters(2048, (27, 14)).parameters_id == first.parameters_id


def test_multiply_plain_throws_on_zero_and_we_don_t_use_it():
    """A weight of zero is ordinary: SEAL's `multiply_plain` can't take it, our products can."""
    parameters = seal.parameters(2048, (27, 14))
    generator = sealapi.KeyGenerator(parameters.context)
    plaintext, ciphertext = sealapi.Plaintext(), sealapi.Ciphertext()
    encoder = sealapi.CKKSEncoder(parameters.context)
    encoder.encode(1.0, 2.0**10, plaintext)
    sealapi.Encryptor(parameters.context, generator.secret_key()).encrypt_symmetric(plaintext, ciphertext)
    encoder.encode(0.0, 2.0**10, plaintext)
    with pytest.raises(RuntimeError, match="transparent"):
        sealapi.Evaluator(parameters.context).multiply_plain_inplace(ciphertext, plaintext)


def test_tenseal_agrees_with_our_answers():
    model = random_network(8, 3)
    inputs = random_inputs(model, 2)
    session = ClientSession(plan_for(model, inputs))
    ours = session.decrypt(evaluate(session.plan, model, session.encrypt(inputs), 2))
    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 40, 60])
    context.global_scale = 2.0**40
    context.generate_galois_keys()
    weights, bias = model.weights(0) / 2**13, model.bias(0) / 2**13
    for row, expected in zip(inputs / 2**13, ours, strict=True):
        theirs = tenseal.ckks_vector(context, row.tolist()).mm(weights.tolist()) + bias.tolist()
        assert np.allclose(theirs.decrypt(), expected, atol=1e-3)
