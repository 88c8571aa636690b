"""The buyer's side of an encrypted test: fresh keys, encryption, decryption.

Samples stand in slots, features in ciphertexts; in small tests several features share one
(`trader.he.layouts.packing`). The secret key lives as long as the session and never leaves it.
`trader.he.evaluation.evaluate` is the seller's side.
"""

import os
import struct
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trader.he import seal
from trader.he.errors import SessionError
from trader.he.layouts.visible import read_values
from trader.he.planning.parameters import plan_parameters
from trader.he.planning.plan import HePlan
from trader.he.planning.policy import DEFAULT_POLICY, SecurityPolicy
from trader.he.request import RequestParts
from trader.he.ring.sampling import round_at_random
from trader.he.types import Buffer, Progress
from trader.he.wire.container import ContainerWriter, digest, read_container

NONCE_BYTES = 32
_KEPT = struct.Struct(">Q32s32s")
"""Samples, request digest and response digest, zeros for none, before the secret key of a session that was kept."""
_NO_RESPONSE = bytes(32)


class ClientSession:
    """One encrypted test with its own keys; encrypts one test set and decrypts the response to it.

    Raises:
        SecurityError: the plan doesn't meet the policy; no key was made.
        PlanError: the plan's parameters aren't those that it names.
        SessionError: the kept session is not one of this plan.
    """

    def __init__(self, plan: HePlan, policy: SecurityPolicy = DEFAULT_POLICY, *, kept: bytes | None = None) -> None:
        """Open a session, or go on with one that `export_secret` gave, in another process for instance."""
        policy.check(plan)
        plan_parameters(plan)
        self.plan = plan
        self._samples, self._request_digest, self._response_digest = 0, b"", _NO_RESPONSE
        self._keys: _Keys | None = None
        if kept is not None:
            if len(kept) <= _KEPT.size:
                raise SessionError("the kept session is cut off; open a new one")
            self._samples, self._request_digest, self._response_digest = _KEPT.unpack_from(kept)
            # What the seller needs, it was sent.
            secret = seal.SecretKey(self._parameters, kept[_KEPT.size :])
            self._keys = _Keys(secret, seal.Seeded(np.empty(0, dtype=np.uint32), b""), ())

    def generate_keys(self, samples: int) -> None:
        """Make fresh keys for a test of so many samples; `encrypt` does it where it was not done before.

        Raises:
            SessionError: the session has keys.
        """
        if self._keys is not None:
            raise SessionError("this session has keys; open a new one for another test")
        self._samples = samples
        self._keys = _Keys.generate(self._plan, samples, seal.SecretKey(self._parameters))

    @property
    def _plan(self) -> HePlan:
        """The plan for the number of samples."""
        return self.plan.for_samples(self._samples)

    @property
    def _parameters(self) -> seal.Parameters:
        return plan_parameters(self._plan)

    def export_secret(self) -> bytes:
        """Export the session with its secret key, once it has encrypted: for a file that its owner alone can read.

        It holds which response the keys are for, once `expect_response` or `decrypt` has said so.
        """
        secret = self._used_keys().secret.to_bytes()
        return _KEPT.pack(self._samples, self._request_digest, self._response_digest) + secret

    def expect_response(self, response_digest: bytes) -> None:
        """Decrypt no response but the one with this digest; call it and keep the session before `decrypt`.

        A second response under the same keys could be made from what the seller learned of the first: by whether the
        buyer bought, or by what it committed to. A session that was kept before would not know of the first.

        Raises:
            SessionError: the session expects another response, or has decrypted it.
        """
        if self._response_digest not in (_NO_RESPONSE, response_digest):
            raise SessionError("these keys are for another response; a second one would tell more of the keys")
        self._response_digest = response_digest

    def encrypt(
        self,
        inputs: NDArray[np.int64],
        progress: Progress | None = None,
        path: Path | None = None,
        *,
        context: bytes = b"",
    ) -> memoryview:
        """Return the request for a test set, under fresh keys; a session makes one.

        Args:
            inputs: [n, columns] integers at scale `plan.scale_bits`, or bins (`trader.model.quantise_inputs`).
            progress: called as ciphertexts are made.
            path: of the file to which the request is written; without one it is in memory.
            context: what the request is for; the seller refuses it in another one.

        Returns:
            A container (see `trader.he.wire.container`); `digest` of it is the `requestDigest`.

        Raises:
            SessionError: wrong shape, values beyond `plan.input_magnitude`, or the session was used before.
        """
        self._check_inputs(inputs)
        self._samples = len(inputs)
        plan, parameters = self._plan, self._parameters
        secret = seal.SecretKey(parameters) if self._keys is None else self._keys.secret
        places = list(product(range(plan.batches(self._samples)), range(plan.request_ciphertexts(self._samples))))
        with secret.encryption(len(places)) as encryption:
            if self._keys is None:
                self._keys = _Keys.generate(plan, self._samples, secret)
            layout = plan.request_layout(self._samples, parameters.all_primes)
            writer = ContainerWriter("request", plan.digest, self._samples, layout, path)
            request = RequestParts(plan, self._samples, parameters, writer.parts)
            nonce = os.urandom(NONCE_BYTES)
            self._write_keys(request, nonce, context)
            values, size = plan.encode(inputs) * np.float64(2.0**-plan.scale_bits), plan.samples_per_batch
            packed = [plan.pack(values[start : start + size]) for start in range(0, self._samples, size)]
            encryption.run(
                lambda place: packed[places[place][0]][places[place][1]],
                2.0**plan.input_scale_bits,
                lambda place, ciphertext: request.write_ciphertext(*places[place], ciphertext),
                progress,
            )
        container = writer.finish(nonce)
        self._request_digest = digest(container)
        return container

    def _write_keys(self, request: RequestParts, nonce: bytes, context: bytes) -> None:
        self._all_keys().write(request, nonce, context)

    def _all_keys(self) -> "_Keys":
        if self._keys is None:
            raise SessionError("this session has no keys yet; encrypt a test set first")
        return self._keys

    def _used_keys(self) -> "_Keys":
        if not self._request_digest:
            raise SessionError("this session has encrypted nothing that could have been answered")
        return self._all_keys()

    def _check_inputs(self, inputs: NDArray[np.int64]) -> None:
        if self._request_digest:
            raise SessionError("this session has encrypted its test set; open a new one, with new keys, for another")
        if inputs.ndim != 2 or inputs.shape[1] != self.plan.columns or not len(inputs):
            raise SessionError(f"inputs have shape {inputs.shape}, the plan takes [n, {self.plan.columns}]")
        if self._samples not in (0, len(inputs)):
            raise SessionError(f"the keys are for {self._samples} samples, the test set has {len(inputs)}")
        if inputs.dtype == np.int64 and self.plan.edges:
            return  # a number of any size lies in some bin
        limit = self.plan.input_magnitude * 2.0**self.plan.scale_bits
        largest = int(max(inputs.max(), -inputs.min()))
        if inputs.dtype != np.int64 or largest > limit:
            raise SessionError(
                f"the largest input is {largest / 2**self.plan.scale_bits:g}, the plan allows "
                f"{self.plan.input_magnitude:g}: scale the inputs as the model card says"
            )

    def decrypt(self, response: Buffer, progress: Progress | None = None) -> NDArray[np.float64]:
        """Raw outputs [n, O] of the samples that this session encrypted, in order; integers, exactly, for trees.

        What is returned must not leave the buyer as it is: raw decryptions give the key away (Li and Micciancio, 2021).
        Publish `commit_outputs` of it.

        Raises:
            WireError: the container is not a response to this session's request under this plan.
            SessionError: nothing was encrypted yet, or another response is expected or was decrypted before.
        """
        secret, plan = self._used_keys().secret, self._plan
        layout = plan.response_layout(self._samples, self._parameters.primes)
        container = read_container(response, "response", plan.digest, self._samples, layout)
        container.check_reference(self._request_digest)
        self.expect_response(container.digest)
        slots = plan.samples_per_batch
        outputs = np.empty((self._samples, plan.outputs))
        part_primes = self._parameters.primes[: plan.response_primes]
        for batch, (part, shown) in enumerate(zip(container.parts, plan.visible(self._samples), strict=True)):
            rows = outputs[batch * slots : (batch + 1) * slots]
            values = [
                read_values(secret.phase(ciphertext), part_primes, visible) / plan.output_scale
                for ciphertext, visible in zip(part, shown, strict=True)
            ]
            rows[:] = plan.unpack(values, len(rows))
            if progress is not None:
                progress(batch + 1, len(container.parts))
        return np.rint(outputs) if plan.is_exact else outputs


@dataclass(frozen=True, slots=True)
class _Keys:
    """A session's keys.

    Attributes:
        secret: never leaves the session.
        public: for the seller.
        switching: for the seller: by what they switch from, as the plan says.
    """

    secret: seal.SecretKey
    public: seal.Seeded = field(repr=False)
    switching: tuple[list[seal.Seeded], ...] = field(repr=False)

    @classmethod
    def generate(cls, plan: HePlan, samples: int, secret: seal.SecretKey) -> "_Keys":
        """Return keys for a test of so many samples under a secret key."""
        switching = secret.switching_keys(plan.switched_secrets(samples))
        return cls(secret, secret.public_key(), tuple(switching))

    def write(self, request: RequestParts, nonce: bytes, context: bytes) -> None:
        """Put what the seller needs into a request, with the proof that the public key is one."""
        request.write_public_key(self.public)
        proof = request.statement(nonce, context).prove(-self.secret.coefficients(), self.secret.error(self.public))
        request.write_proof(proof)
        for index, key in enumerate(self.switching):
            request.write_key(index, key)


def commit_outputs(outputs: NDArray[np.float64], commit_scale_bits: int) -> NDArray[np.int64]:
    """Round outputs to what may be shown to others: integers at scale 2^commit_scale_bits, with a random dither.

    A value between two grid points goes up with probability equal to its distance from the lower one, so what is
    shown has the output as its mean and says less of the noise below the grid the more often it is drawn.

    Raises:
        SessionError: a value isn't finite or doesn't fit into 64 bits.
    """
    scaled = np.ldexp(outputs, commit_scale_bits)
    if not np.isfinite(scaled).all() or np.abs(scaled).max(initial=0.0) >= 2.0**62:
        raise SessionError("an output is not a finite number of at most 62 bits; the response is not from this model")
    return round_at_random(scaled)
