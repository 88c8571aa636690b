"""A model, its audit circuit, and audited samples: what `zk` and `gas` measure proofs of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import onnx

import zk
from contracts import Layout
from trader.demo.training import train_demo_model
from trader.model import architecture_bytes, canonicalise, lower_model, parse_onnx, quantise_inputs
from trader.rehearsal.networks import SCALE_BITS, random_bins, random_network, random_trees
from zk.binding.tensors import input_elements, parameter_elements
from zk.proofs.challenge import CONTEXT_BYTES
from zk.proofs.prover import ProvingRun, prove_tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trader.model import CanonicalModel

COMMIT_SCALE_BITS = 12
"""Scale of the outputs that a buyer commits to."""

CONTEXT = bytes(CONTEXT_BYTES)
"""Proofs of benchmarks are used nowhere."""


@dataclass(frozen=True)
class Statement:
    """What is proven: these parameters give the outputs on these samples.

    Attributes:
        model: Dense layers with square activations, or trees.
        circuit: Its audit circuit, keys in the user's cache.
        srs: A development SRS of the circuit's size.
        inputs: k x F integers at the model's scale.
        salt: Of the inputs.
    """

    model: CanonicalModel = field(repr=False)
    circuit: zk.AuditCircuit
    srs: zk.Srs
    inputs: NDArray[np.int64] = field(repr=False)
    salt: tuple[int, ...] = field(repr=False)

    @classmethod
    def random(cls, widths: tuple[int, ...], audit_samples: int) -> Statement:
        """Random parameters and samples in [0, 1]."""
        inputs = np.random.default_rng(1).integers(0, 2**SCALE_BITS, (audit_samples, widths[0]), endpoint=True)
        return cls.about(random_network(*widths), inputs)

    @classmethod
    def demo(cls, dataset: str, audit_samples: int) -> Statement:
        """Return the model that `modelseal demo --dataset` sells, and held-out rows."""
        trained = train_demo_model(dataset)
        model = canonicalise(lower_model(parse_onnx(trained.onnx_bytes, dataset)))
        rows = trained.test_samples[:audit_samples]
        return cls.about(model, quantise_inputs(rows, model.graph, model.scale_bits))

    @classmethod
    def trees(cls, edges: tuple[int, ...], trees: int, depth: int, audit_samples: int) -> Statement:
        """Random trees over columns of so many edges each, and random bins."""
        return cls.about(random_trees(edges, trees, depth), random_bins(edges, audit_samples), max(edges) + 1)

    @classmethod
    def about(cls, model: CanonicalModel, inputs: NDArray[np.int64], activation_magnitude: float = 8.0) -> Statement:
        """Return a model's answers on k samples; builds the circuit's keys if the cache lacks them."""
        circuit = zk.build_audit_circuit(
            onnx.load_from_string(architecture_bytes(model.graph)),
            audit_samples=len(inputs),
            scale_bits=model.scale_bits,
            srs=zk.development_srs,
            activation_magnitude=activation_magnitude,
        )
        return cls(model, circuit, zk.development_srs(circuit.logrows), inputs, zk.draw_input_salt(circuit))

    def prove(self, context: bytes = CONTEXT) -> ProvingRun:
        """Return a verified proof, made anew each time, and what it took."""
        tensors = [input_elements(self.circuit, self.inputs, self.salt)]
        tensors += parameter_elements(self.circuit, self.model.tensors)
        return prove_tensors(self.circuit, tensors, self.srs, context)

    @property
    def layout(self) -> Layout:
        """As a listing of the model has it."""
        return Layout(
            input_columns=self.circuit.input_columns,
            parameter_columns=self.circuit.parameter_columns,
            hidden_columns=self.circuit.hidden_columns,
            proof_bytes=self.circuit.proof_bytes,
            outputs=self.circuit.outputs,
            output_shift_bits=self.circuit.output_scale_bits - COMMIT_SCALE_BITS,
            logrows=self.circuit.logrows,
            column_lengths=self.circuit.column_lengths,
        )
