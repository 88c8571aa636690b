"""A buyer who holds the keys, encrypts what it likes, and looks at all that a response holds."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tests.simulators.he_models import decrypt_slots, finish_request
from trader.he import HePlan, evaluate
from trader.he.layouts.visible import Visible, read_values
from trader.he.planning.parameters import plan_parameters
from trader.he.request import Inputs, RequestParts
from trader.he.ring.transform import prime_tables
from trader.he.seal import SecretKey, Seeded
from trader.he.types import Residues
from trader.he.wire.container import ContainerWriter, read_container
from trader.model import CanonicalModel


class CuriousBuyer:
    """Pays for some samples under a plan, of which its first batch is looked at.

    Attributes:
        plan: the plan for so many samples.
        inputs: of the last request.
    """

    def __init__(self, plan: HePlan, samples: int, *, forges_keys: bool = False) -> None:
        self.whole, self.samples, self.forges_keys = plan, samples, forges_keys
        self.plan = plan.for_samples(samples)
        self.parameters = plan_parameters(self.plan)
        self.primes = self.parameters.primes[: self.plan.response_primes]
        self.key = SecretKey(self.parameters)
        self.inputs: Inputs

    def ask(self, model: CanonicalModel, messages: Sequence[NDArray[np.generic]]) -> Residues:
        """The response's ciphertexts; messages are slots, or polynomials in NTT form [primes, N], as uint32."""
        layout = self.plan.request_layout(self.samples, self.parameters.all_primes)
        writer = ContainerWriter("request", self.plan.digest, self.samples, layout)
        request = RequestParts(self.plan, self.samples, self.parameters, writer.parts)
        self._write_keys(request)
        for index, message in enumerate(messages):
            for batch in range(self.plan.batches(self.samples)):
                request.write_ciphertext(batch, index, self._encrypt(message))
        self.inputs = request.read_ciphertexts(0)
        response = evaluate(self.whole, model, self._finish(writer, request), self.samples)
        layout = self.plan.response_layout(self.samples, self.parameters.primes)
        return read_container(response, "response", self.plan.digest, self.samples, layout).parts[0]

    def _finish(self, writer: ContainerWriter, request: RequestParts) -> memoryview:
        return finish_request(writer, request, self.key)

    def _write_keys(self, request: RequestParts) -> None:
        for index, key in enumerate(self.key.switching_keys(self.plan.switched_secrets(self.samples))):
            request.write_key(index, [self._forge(digit) for digit in key] if self.forges_keys else key)

    def _forge(self, digit: Seeded) -> Seeded:
        primes = np.array(self.parameters.all_primes)[:, np.newaxis]
        return Seeded(np.random.default_rng().integers(0, primes, digit.residues.shape, dtype=np.uint32), digit.seed)

    def _encrypt(self, message: NDArray[np.generic]) -> Seeded:
        if message.dtype != np.uint32:
            return self.key.encrypt(message, 2.0**self.plan.input_scale_bits)
        zero, columns = self.key.encrypt(np.zeros(1), 1.0), np.array(self.parameters.primes)[:, np.newaxis]
        total = (zero.residues.astype(np.int64) + message) % columns
        return Seeded(total.astype(np.uint32), zero.seed)

    def monomial(self, exponent: int, factor: int) -> Residues:
        """A polynomial to ask with: factor·X^exponent."""
        residues = np.zeros((len(self.parameters.primes), self.plan.ring_degree), dtype=np.uint32)
        for row, prime in zip(residues, self.parameters.primes, strict=True):
            row[exponent] = factor % prime
            prime_tables(self.plan.ring_degree, prime).forward(row)
        return residues

    def honest(self, inputs: NDArray[np.int64]) -> NDArray[np.generic]:
        """Slots that an honest buyer of these samples encrypts."""
        return self.plan.pack(np.ldexp(inputs, -self.plan.scale_bits))

    def read(self, part: Residues) -> NDArray[np.float64]:
        """Outputs [n, O] as an honest buyer reads them."""
        shown = [
            read_values(self.key.phase(ciphertext), self.primes, visible) / self.plan.output_scale
            for ciphertext, visible in zip(part, self.visible, strict=True)
        ]
        return self.plan.unpack(shown, min(self.samples, self.plan.samples_per_batch))

    @property
    def visible(self) -> list[Visible]:
        """What each ciphertext of the first batch is to show."""
        return self.plan.visible(self.samples)[0]

    def slots(self, part: Residues) -> NDArray[np.complex128]:
        """All slots [ciphertexts, N/2] of a response, those that show nothing included."""
        return np.stack([decrypt_slots(self.key, ciphertext, self.plan.output_scale) for ciphertext in part])

    def coefficients(self, ciphertext: Residues) -> Residues:
        """Coefficients [primes, N] of a ciphertext's phase."""
        phase = self.key.phase(ciphertext)
        for row, prime in zip(phase, self.primes, strict=True):
            prime_tables(self.plan.ring_degree, prime).inverse(row)
        return phase


def centred_integers(residues: Residues, primes: tuple[int, ...]) -> list[int]:
    """Exact integers nearest to zero with these residues [primes, n]."""
    modulus = math.prod(primes)
    total = sum(
        row.astype(object) * (modulus // prime * pow(modulus // prime, -1, prime))
        for row, prime in zip(residues, primes, strict=True)
    )
    return [value if value <= modulus // 2 else value - modulus for value in (total % modulus).tolist()]
