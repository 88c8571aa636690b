"""How many answers are safe: by the paper's criteria, and by bits."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulators.he_models import exact_outputs, plan_for, random_inputs, random_network
from trader.he.planning.parameters import plan_parameters
from trader.model import Linear
from trader.model.graph import INPUT
from trader.model.manifest import ModelCard
from trader.package import PrepareOptions, QuotaError, safe_quota
from trader.package.leakage import (
    _code_bits,
    check_published,
    check_quota,
    parameter_bits,
    proof_bits,
    safe_listing_quota,
)
from trader.package.prepare import _decide_quota


def _planned(*widths):
    model = random_network(*widths)
    return model, plan_for(model, random_inputs(model, 64))


@pytest.fixture(scope="module")
def network():
    return _planned(784, 64, 10)


def test_parameters_have_the_bits_of_the_largest_of_their_tensor():
    model = random_network(3, 2)
    model.tensors[0][:4] = [[1, -2], [3, 4], [-1000, 0], [511, 5]]
    assert parameter_bits(model) == 6 * (10 + 1) + 2 * (9 + 1)


@pytest.mark.parametrize(
    ("values", "bits_each"), [([-7000, 0, 7000], math.log2(3)), ([0] * 15 + [5000], 0.34), ([77], 0)], ids=str
)
def test_few_sparse_or_tied_weights_have_few_bits(values, bits_each):
    """So a quota is not paid with bits that the weights don't have: here an eighth of what their size would say."""
    model = random_network(100, 200)
    model.tensors[0][:100] = np.random.default_rng(0).choice(values, size=(100, 200))
    model.tensors[0][100] = 0
    assert 20_000 * bits_each * 0.97 <= parameter_bits(model) <= 20_000 * bits_each * 1.05 + 200


@given(st.lists(st.integers(-(2**24) + 1, 2**24 - 1), min_size=1, max_size=300), st.integers(1, 300))
def test_no_code_of_parameters_is_longer_than_writing_them_down(values, repeats):
    """And repeating them adds next to nothing to a table, so that the count can't be driven up by ties."""
    largest = max(abs(value) for value in values).bit_length() + 1
    assert 0 <= _code_bits(np.array(values)) <= len(values) * largest
    tied = np.repeat(values[0], repeats)
    assert _code_bits(tied) <= largest + repeats.bit_length()


def test_salt_is_not_counted():
    model = random_network(3, 2)
    before = parameter_bits(model)
    model.tensors[0][4:] = 2**30
    assert parameter_bits(model) == before


def test_an_answer_carries_what_its_visible_numbers_do(network):
    _, plan = network
    packed, batched = plan.few_samples, plan.batched
    assert plan.answer_bits == max(16 * packed.capacity_bits, 10 * batched.capacity_bits)
    for layout in plan.layouts:
        bits = sum(layout.modulus_bits[: layout.response_primes])
        assert layout.capacity_bits == bits - layout.flooding_bits - 1
        assert 20 <= layout.capacity_bits <= 34


def test_large_networks_are_limited_by_the_papers_criterion(network):
    model, plan = network
    published = 16 * proof_bits(model, plan, 8)
    assert safe_quota(model, plan, published) == model.graph.parameter_count // 100


def test_proofs_use_up_what_answers_could_tell(network):
    model, plan = network
    per_proof = proof_bits(model, plan, 8)
    assert per_proof == 8 * 10 * (13 * 5 + sum(plan.modulus_bits[:-1]) - plan.output_scale_bits)
    most = parameter_bits(model) // per_proof
    assert 0 < safe_quota(model, plan, (most - 2) * per_proof) < model.graph.parameter_count // 100
    assert safe_quota(model, plan, (most + 1) * per_proof) == 0


def test_linear_models_are_limited_by_their_features_or_by_bits():
    model, plan = _planned(100, 1)
    by_bits = parameter_bits(model) // plan.answer_bits
    assert safe_quota(model, plan, 0) == min(98, by_bits) == by_bits
    assert safe_quota(model, plan, proof_bits(model, plan, 8)) < by_bits
    assert safe_quota(*_planned(1, 1), 0) == 0


def without_squares(model):
    """The same layers with nothing between them: wide, and linear all the same."""
    layers = [node for node in model.graph.nodes if isinstance(node, Linear)]
    sources = [INPUT, *(layer.name for layer in layers)]
    nodes = tuple(replace(layer, inputs=(source,)) for layer, source in zip(layers, sources, strict=False))
    return replace(model, graph=replace(model.graph, nodes=nodes))


def test_layers_without_anything_between_them_are_one():
    """Else a linear model with a wide layer in it would be worth an answer per hundred of its many parameters."""
    model = without_squares(random_network(20, 1000, 10, gain=0.1))
    plan = plan_for(model, random_inputs(model, 64))
    assert model.graph.parameter_count // 100 == 310
    assert safe_quota(model, plan, 0) == safe_listing_quota(model, plan, 0) == 18
    check_published(model, 18, 65)
    with pytest.raises(QuotaError, match="Up to 18 samples are safe"):
        check_published(model, 19, 65)


def test_a_function_of_few_monomials_is_determined_by_as_many_answers():
    """C(4 + 2, 2) = 15 for squares of layers of four features, however many units there are."""
    model = random_network(4, 1000, 1)
    inputs = random_inputs(model, 40)
    plan = plan_for(model, inputs)
    assert model.graph.parameter_count // 100 == 60
    assert safe_quota(model, plan, 0) <= safe_listing_quota(model, plan, 0) == 12

    def monomials(x):
        ones = np.hstack([np.ones((len(x), 1)), x / 2**13])
        return np.stack([ones[:, i] * ones[:, j] for i in range(5) for j in range(i, 5)], axis=1)

    outputs = exact_outputs(model, inputs)
    found = np.linalg.solve(monomials(inputs[:15]), outputs[:15])
    np.testing.assert_allclose(monomials(inputs[15:]) @ found, outputs[15:], rtol=1e-6, atol=1e-6)


def test_networks_of_many_features_are_limited_as_before():
    model, plan = _planned(30, 16, 2)
    assert safe_quota(model, plan, 0) == min(model.graph.parameter_count // 100, parameter_bits(model) // 58)


def test_a_quota_stays_within_the_bits_of_the_parameters():
    """Whatever is asked: the answers of a safe quota, all visible numbers at their capacity, can't hold the model."""
    for widths in [(100, 1), (100, 3), (30, 16, 2), (200, 20, 20)]:
        model, plan = _planned(*widths)
        for published in (0, proof_bits(model, plan, 4)):
            quota = safe_quota(model, plan, published)
            for layout in plan.layouts:
                for session in {1, 2, 4, 8, quota} - {0}:
                    if session > quota:
                        continue
                    shown = sum(visible.values for batch in layout.visible(session) for visible in batch)
                    charged = 1 << (session - 1).bit_length()
                    sessions = quota // charged
                    assert sessions * shown * layout.capacity_bits + published <= parameter_bits(model) or not sessions


def test_answers_of_a_small_network_carry_what_the_documentation_says():
    assert _planned(30, 16, 2)[1].answer_bits == 58


def test_accounts_of_one_buyer_add_up(network):
    """The quota of one account is safe, that of ten together is not: what bounds them is the listing's quota."""
    model, plan = network
    quota = safe_quota(model, plan, 0)
    assert (quota, plan.answer_bits, parameter_bits(model)) == (508, 464, 572_446)  # as docs/security.md says
    assert quota * plan.answer_bits < parameter_bits(model) < 10 * quota * plan.answer_bits


@pytest.mark.parametrize("widths", [(784, 64, 10), (30, 16, 2), (100, 1), (784, 10)])
def test_a_visible_number_has_room_for_no_more_than_its_capacity(widths):
    """Of numbers modulo Q, log2 Q - b - 1 bits are left by noise of b + 1 bits; fewer where few are shown."""
    _, plan = _planned(*widths)
    for layout in plan.layouts:
        primes = plan_parameters(layout).primes[: layout.response_primes]
        for samples in (1, 16, layout.samples_per_batch):
            for visible in layout.visible(samples)[0]:
                noise_bits = layout.visible_flooding_bits(visible) + 1
                assert sum(map(math.log2, primes)) - noise_bits <= layout.capacity_bits


def test_a_knapsack_of_inputs_is_worth_more_than_one_equation():
    """Why bits are counted: inputs x_i = B^i write a row of small weights into one exact output."""
    weights = np.random.default_rng(0).integers(-50, 50, 6)
    output, found = int(sum(int(w) * 101**i for i, w in enumerate(weights))), []
    for _ in weights:
        found.append((output + 50) % 101 - 50)
        output = (output - found[-1]) // 101
    assert found == weights.tolist()


def test_a_quota_that_gives_the_model_away_is_refused(network):
    model, plan = network
    check_quota(model, plan, 0, 500)
    with pytest.raises(QuotaError, match=r"508 are safe. Its parameters have \d+ bits; an answer can carry \d+, and"):
        check_quota(model, plan, 0, 600)


# ----------------------------------------------------------------------------- what `prepare` grants without being told


def _decided(model, plan, **options):
    return _decide_quota(model, plan, PrepareOptions(card=ModelCard(name="m"), **options))


def test_a_model_that_any_test_gives_away_takes_insistence():
    """Sixteen proofs of 30-16-2 alone publish more than its parameters have; one tells no more than a quota may."""
    model, plan = _planned(30, 16, 2)
    with pytest.raises(
        QuotaError, match=r"has 7384 bits: 0 answers are safe\. The smallest test, .* takes 16"
    ) as error:
        _decided(model, plan)
    assert "\n" not in str(error.value)
    assert f"carry {16 * plan.answer_bits} bits" in str(error.value)
    assert _decided(model, plan, audit_samples=2, proofs=1).buyer_samples == 530 // 100
    quota = _decided(model, plan, insist=True)
    assert (quota.buyer_samples, quota.listing_samples) == (16, 160)


def test_the_default_quota_is_refused_one_answer_below_the_smallest_test(monkeypatch):
    """Just enough bits are granted, one less is refused; so are answers."""
    model, plan = _planned(100, 1)
    needed, published = 2 + 2, 3 * proof_bits(model, plan, 2)
    options = {"audit_samples": 2, "proofs": 3}
    exact = needed * plan.answer_bits + published
    for bits, granted in [(exact, True), (exact - 1, False)]:
        monkeypatch.setattr("trader.package.leakage.parameter_bits", lambda _model, bits=bits: bits)
        if granted:
            quota = _decided(model, plan, **options)
            assert (quota.buyer_samples, quota.listing_samples) == (needed, needed)
        else:
            with pytest.raises(QuotaError, match=f"{needed - 1} answers are safe"):
                _decided(model, plan, **options)


def test_the_default_listing_quota_is_no_more_than_all_buyers_as_one_may_have(network):
    """Ten accounts of one person share what the parameters' bits allow, unless the seller says otherwise."""
    model, plan = network
    published = 16 * proof_bits(model, plan, 8)
    quota = _decided(model, plan)
    assert quota.buyer_samples == 508
    assert quota.listing_samples * plan.answer_bits + published <= parameter_bits(model)
    assert (quota.listing_samples + 1) * plan.answer_bits + published > parameter_bits(model)
    small = _decided(model, plan, buyer_quota_samples=20)
    assert (small.buyer_samples, small.listing_samples) == (20, 200)
    assert _decided(model, plan, insist=True).listing_samples == 5080
    assert _decided(model, plan, listing_quota_samples=5080).listing_samples == 5080
