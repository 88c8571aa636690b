"""manifest.json: everything public about a listing, in canonical JSON (RFC 8785).

Its keccak256 is the `manifestHash` of the listing, so exactly one byte string stands for one manifest: bytes that
don't re-encode to themselves are refused. Digests, commitments and amounts are 0x-hex strings, since JSON numbers are
doubles.

Read `Manifest` last; its parts come first.
"""

import math
from typing import Annotated, Any, Literal, Self

import numpy as np
import rfc8785
from eth_utils.crypto import keccak
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from trader.model.columns import Column, feature_count
from trader.model.documents import Section, describe_fault
from trader.model.errors import DataError, ManifestError
from trader.model.graph import Graph
from trader.model.grid import Grid
from trader.model.interface import Interface
from trader.model.postprocessing import PostProcessing
from trader.model.quantise import quantise_inputs

MAX_MANIFEST_BYTES = 4 << 20
MAX_FEATURES = 1 << 24

Digest = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
"""32 bytes as hex."""
Point = Annotated[str, Field(pattern=r"^0x[0-9a-f]{128}$")]
"""A BN254 G1 point, x‖y big-endian, as hex."""
Quantity = Annotated[str, Field(pattern=r"^0x(0|[1-9a-f][0-9a-f]{0,63})$")]
"""An unsigned integer below 2^256 as minimal hex."""
Address = Annotated[str, Field(pattern=r"^0x[0-9a-f]{40}$")]
"""An account's address, in lower case."""
HexBytes = Annotated[str, Field(pattern=r"^0x([0-9a-f]{2})*$", max_length=1 << 16)]
"""Bytes as hex."""
Text = Annotated[str, Field(max_length=4096)]
Count = Annotated[int, Field(ge=0, lt=1 << 32)]


NOBODY = "0x" + "00" * 20
"""The seller of a package that was made without one: such a package can be tried, but not listed."""


class ModelCard(Section):
    """What the seller says of the model; nothing here is checked by anyone."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    description: Text = ""
    licence: Text = ""
    author: Text = ""


class InputSchema(Section):
    """What a sample looks like.

    Attributes:
        shape: of one sample.
        feature_names: in order, or empty.
        exponents: per-feature powers of two (see `trader.model.lowering.LoweredModel.input_exponents`), or empty.
        magnitude: largest |x_j·2^e_j| that the HE plan allows.
        columns: of the original data, which buyers hand in and which is expanded to features before encryption; empty
            where it is the features (see `trader.model.columns`).
        reach: |x_j·2^e_j| stays below 2^reach_j in data like the seller's, or empty where it gave none.
        edges: by feature, ascending numbers of 32 bits between its bins (`trader.model.grid`); empty for a model that
            reads numbers.
    """

    shape: tuple[Annotated[int, Field(ge=1, lt=1 << 24)], ...]
    feature_names: tuple[Text, ...] = ()
    exponents: tuple[Annotated[int, Field(ge=-64, le=64)], ...] = ()
    magnitude: Annotated[float, Field(gt=0)]
    reach: tuple[Annotated[int, Field(ge=-64, le=64)], ...] = ()
    columns: tuple[Column, ...] = ()
    edges: tuple[tuple[float, ...], ...] = ()

    @property
    def grid(self) -> Grid | None:
        """The bins that the model reads; None if it reads numbers."""
        return Grid(self.edges) if self.edges else None

    @model_validator(mode="after")
    def _divides(self) -> Self:
        """Edges are those of bins."""
        try:
            Grid(self.edges)
        except DataError as error:
            raise ValueError(str(error)) from error
        return self


class OutputSchema(Section):
    """What a raw output is and what is made of it.

    Attributes:
        count: raw outputs O per sample.
        post_processing: what the buyer applies to them.
        reach: what |raw output| stays below in data like the seller's; None where it gave none.
    """

    count: Annotated[int, Field(ge=1, lt=1 << 24)]
    post_processing: PostProcessing
    reach: Annotated[float, Field(gt=0)] | None = None


class SrsSection(Section):
    """The trusted set-up.

    Attributes:
        digest: of the SRS file.
        logrows: its size is 2^logrows.
        development: made locally; whoever made it can forge proofs.
    """

    digest: Digest
    logrows: Annotated[int, Field(ge=1, le=28)]
    development: bool


class LayoutSection(Section):
    """Where commitments and outputs stand in proof and instances; its ABI encoding hashes to `layoutHash`."""

    input_columns: Count
    parameter_columns: Count
    hidden_columns: Count
    proof_bytes: Count
    outputs: Count
    output_shift_bits: Annotated[int, Field(ge=0, lt=256)]
    logrows: Annotated[int, Field(ge=1, le=28)]
    column_lengths: tuple[Count, ...]


class CircuitSection(Section):
    """The audit circuit.

    Attributes:
        audit_samples: k.
        settings_digest: keccak256 of the settings file.
        srs: the trusted set-up.
        circuit_digest: of the verifying key artifact; what the verifier contract returns.
        layout: see `LayoutSection`.
        commit_scale_bits: scale c of committed outputs.
        tolerance: in instance units.
    """

    audit_samples: Annotated[int, Field(ge=1, lt=1 << 16)]
    settings_digest: Digest
    srs: SrsSection
    circuit_digest: Digest
    layout: LayoutSection
    commit_scale_bits: Annotated[int, Field(ge=0, le=62)]
    tolerance: Quantity


class Binding(Section):
    """The opening that links the parameter commitments to the delivered chunks.

    Attributes:
        value: y, the combined polynomial's value at r.
        proof: the KZG opening proof.
    """

    value: Digest
    proof: Point


class Agreement(Section):
    """How near a model's answers are to those of the model that was handed in, in the units of its outputs.

    Attributes:
        largest_error: Largest |error| of an output.
        error_99: What 99 % of the rows stay within, by their worst output.
        largest_relative_error: Largest |error| by the range of the output on these rows; scores of classes have one
            range together.
        relative_error_99: What 99 % of the rows stay within, as above.
        classes_kept: Share of classes that are the same: one per row, or, where a model decides several things about
            it (labels, or probabilities on a side of 1/2), one for each; None for a model that predicts none.
    """

    largest_error: Annotated[float, Field(ge=0)]
    error_99: Annotated[float, Field(ge=0)]
    largest_relative_error: Annotated[float, Field(ge=0)]
    relative_error_99: Annotated[float, Field(ge=0)]
    classes_kept: Annotated[float, Field(ge=0, le=1)] | None = None

    def is_within(self, relative_error: float, classes: float) -> bool:
        """Whether 99 % of the rows stay within an error, by the outputs' range, and so many classes are kept."""
        kept = 1.0 if self.classes_kept is None else self.classes_kept
        return self.relative_error_99 <= relative_error and kept >= classes


class Fidelity(Section):
    """What became of the model that was handed in, measured by the seller on data of its own; nobody can check it.

    Attributes:
        rows: Of the data.
        delivered: The canonical model, which is proven and delivered.
        tested: What an encrypted test computes, where polynomials stand for activations; without its noise.
    """

    rows: Count
    delivered: Agreement
    tested: Agreement


class Quota(Section):
    """How much may be asked, and what it costs; samples of tests and of audits count alike."""

    buyer_samples: Count
    listing_samples: Count
    fee_wei: Quantity


class Manifest(Section):
    """The whole manifest.

    Attributes:
        version: of this format.
        seller: the account that may list the model; `binding` is valid for this one alone.
        card: what the seller says.
        input: what a sample looks like.
        output: what comes out.
        interface: names, types and shapes of the original's inputs and outputs, which the delivered file has too.
        scale_bits: s.
        architecture_digest: keccak256 of architecture.onnx.
        circuit: the audit circuit.
        parameter_commitments: one point per parameter column.
        parameter_commitment: keccak256 of their concatenation.
        weights_root: Merkle root over salted parameters.
        sums_root: Merkle root over running sums.
        binding: the opening; absent until it is made.
        chunk_count: number of delivered chunks.
        plan: the HE plan, whose form `trader.he` checks.
        fidelity: how near the model is to the one that was handed in; None where the seller gave no data.
        quota: how much may be asked.
        endpoint: where the seller serves, or empty.
        encryption_public_key: the seller's HPKE key.
    """

    version: Literal[2] = 2
    seller: Address
    card: ModelCard
    input: InputSchema
    output: OutputSchema
    interface: Interface
    scale_bits: Annotated[int, Field(ge=0, le=24)]
    architecture_digest: Digest
    circuit: CircuitSection
    parameter_commitments: tuple[Point, ...]
    parameter_commitment: Digest
    weights_root: Digest
    sums_root: Digest
    binding: Binding | None = None
    chunk_count: Count
    plan: dict[str, Any]
    fidelity: Fidelity | None = None
    quota: Quota
    endpoint: Text = ""
    encryption_public_key: HexBytes

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Parts that count the same things agree; what the counts refer to is not checked here."""
        features, classes = math.prod(self.input.shape), len(self.output.post_processing.labels)
        points = b"".join(bytes.fromhex(point[2:]) for point in self.parameter_commitments)
        agreements = {
            "input.shape": features < MAX_FEATURES,
            "input.exponents": len(self.input.exponents) in (0, features),
            "input.columns": not self.input.columns or feature_count(self.input.columns) == features,
            "input.reach": len(self.input.reach) in (0, features),
            "input.edges": len(self.input.edges) in (0, features) and not (self.input.edges and self.scale_bits),
            "input.feature_names": len(self.input.feature_names) in (0, features),
            "output.post_processing.labels": classes
            in (0, self.output.post_processing.kind.classes(self.output.count)),
            "interface": self.interface.names_tensors_once(),
            "interface.inputs": self.interface.feeds(self.input.columns, features),
            "interface.outputs": self.interface.gives(self.output.post_processing, self.output.count),
            "circuit.layout.outputs": self.circuit.layout.outputs == self.output.count,
            "circuit.layout.column_lengths": len(self.circuit.layout.column_lengths) == len(self.parameter_commitments),
            "circuit.layout.parameter_columns": self.circuit.layout.parameter_columns
            == len(self.parameter_commitments),
            "parameter_commitment": self.parameter_commitment == f"0x{keccak(points).hex()}",
        }
        wrong = [name for name, holds in agreements.items() if not holds]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} contradicts the rest")
        return self

    def quantise(self, samples: NDArray[Any], graph: Graph) -> NDArray[np.int64]:
        """Return samples [n, …] as the integers that are encrypted and proven, [n, F] (`quantise_inputs`).

        Raises:
            DataError: they don't fit the model, or the file that is delivered would not take them.
        """
        schema = self.input
        if not schema.columns and (misfit := self.interface.misfit(np.asarray(samples))):
            raise DataError(misfit)
        return quantise_inputs(samples, graph, self.scale_bits, schema.exponents, schema.magnitude, schema.grid)

    def to_bytes(self) -> bytes:
        """Canonical JSON.

        Raises:
            ManifestError: the plan holds something that canonical JSON can't say, such as an integer from 2^53.
        """
        try:
            return rfc8785.dumps(self.model_dump(mode="json"))
        except (rfc8785.CanonicalizationError, UnicodeError) as error:
            raise ManifestError(f"the manifest has no canonical form: {error}") from error

    def manifest_hash(self) -> bytes:
        """keccak256 of the canonical bytes, 32 bytes."""
        return keccak(self.to_bytes())


def parse_manifest(data: bytes) -> Manifest:
    """Read a manifest that comes from the other party.

    Raises:
        ManifestError: too big, not of this form, or not canonical.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise ManifestError(f"the manifest has {len(data)} bytes, more than {MAX_MANIFEST_BYTES}")
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        raise ManifestError(f"the manifest is not valid{describe_fault(error)}") from error
    if manifest.to_bytes() != data:
        raise ManifestError("the manifest is not in canonical form (RFC 8785)")
    return manifest
