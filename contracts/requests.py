"""What buyers post and sellers prove in `src/periphery/ModelRequests.sol`, as Python values."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Self

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from contracts.standard_tree import StandardTree
from contracts.types import Layout

LABEL_BYTES = 2


@dataclass(frozen=True)
class Wanted:
    """What a buyer asks for; amounts are in the smallest units of their currencies."""

    market: str
    deadline: int
    """Seconds since 1970: proofs are valid before."""
    hold_seconds: int
    """How long the bounty is held after the claim."""
    bounty_token: str
    bounty: int
    price_token: str
    highest_price: int
    lowest_bond: int
    samples: int
    minimum_correct: int
    """Samples that a model must classify as their labels say."""
    test_root: bytes
    """Of `PublicTestSet`."""

    def as_abi(self) -> tuple[Any, ...]:
        """Return the Solidity struct `Wanted`."""
        return astuple(self)

    @classmethod
    def from_abi(cls, values: Sequence[Any]) -> Self:
        """Read the tuple that a contract call or event returns."""
        return cls(*values)


@dataclass(frozen=True)
class Task:
    """What people read of a request."""

    architecture: bytes
    """keccak256 of the document that limits the architecture."""
    test_set: bytes
    """keccak256 of the digests of rows and labels, as certificates have them."""
    description: str

    def as_abi(self) -> tuple[Any, ...]:
        """Return the Solidity struct `Task`."""
        return astuple(self)


@dataclass(frozen=True)
class AcceptedCircuit:
    """An audit circuit that a buyer takes, and the commitments of the test set's batches under it."""

    circuit_digest: bytes
    layout: Layout
    """Of which only what follows from the circuit counts."""
    audit_samples: int
    input_commitments: tuple[bytes, ...]
    """One for each batch: `zk.commitment_digest` of the points, with a salt of zeros."""

    @property
    def digest(self) -> bytes:
        """What a leaf says about the circuit, 32 bytes."""
        layout = self.layout
        facts = (
            layout.input_columns,
            layout.parameter_columns,
            layout.hidden_columns,
            layout.proof_bytes,
            layout.outputs,
        )
        return keccak(encode(["bytes32", *["uint256"] * 6], [self.circuit_digest, *facts, self.audit_samples]))


class PublicTestSet:
    """The batches of a public test set, in order, under each circuit that the buyer takes.

    Attributes:
        root: What `Wanted.test_root` holds.
    """

    def __init__(self, labels: Sequence[int], circuits: Iterable[AcceptedCircuit]) -> None:
        """Build the tree.

        Args:
            labels: The index of each sample's class.
            circuits: What the buyer takes.

        Raises:
            ValueError: A label is none, or a circuit has commitments of more or fewer batches than the labels make.
        """
        self._labels = b"".join(_label(label) for label in labels)
        leaves = []
        for circuit in circuits:
            batches = -(-len(labels) // circuit.audit_samples)
            if len(circuit.input_commitments) != batches:
                raise ValueError(f"{len(circuit.input_commitments)} commitments are not those of {batches} batches")
            leaves += [self._leaf(circuit, index) for index in range(batches)]
        self._tree = StandardTree(leaves)
        self.root = self._tree.root

    def labels(self, circuit: AcceptedCircuit, index: int) -> bytes:
        """Return the labels of a batch as the contract takes them: two bytes each, zeros for the padding."""
        size = circuit.audit_samples * LABEL_BYTES
        return self._labels[index * size : (index + 1) * size].ljust(size, b"\0")

    def path(self, circuit: AcceptedCircuit, index: int) -> list[bytes]:
        """Return the path of a batch up to the root.

        Raises:
            KeyError: The buyer doesn't take the circuit, or not with these commitments.
        """
        return self._tree.path(self._leaf(circuit, index))

    def _leaf(self, circuit: AcceptedCircuit, index: int) -> bytes:
        labels = keccak(self.labels(circuit, index))
        fields = [circuit.digest, index, circuit.input_commitments[index], labels]
        return encode(["bytes32", "uint256", "bytes32", "bytes32"], fields)


def _label(label: int) -> bytes:
    if not 0 <= label < 1 << 8 * LABEL_BYTES:
        raise ValueError(f"{label} is no index of a class")
    return label.to_bytes(LABEL_BYTES, "big")


def proof_context(chain_id: int, contract: str, request_id: int, offer: bytes, batch: int) -> bytes:
    """Return what the challenge of a batch's proof depends on, beside the statement; 32 bytes.

    Args:
        chain_id: EIP-155 id of the chain.
        contract: Address of the contract of the requests.
        request_id: The request.
        offer: The listing's offer digest: seller and terms.
        batch: Index of the batch.
    """
    kinds = ["uint256", "address", "uint256", "bytes32", "uint256"]
    return keccak(encode(kinds, [chain_id, contract, request_id, offer, batch]))


def matching_classes(outputs: Sequence[int], labels: Sequence[int]) -> int:
    """Return how many samples the contract counts: exact integers, ties count for nothing, one output by its sign.

    Args:
        outputs: Signed, row by row, as many rows as labels.
        labels: Indices of classes.
    """
    width = len(outputs) // len(labels)
    rows = (outputs[start : start + width] for start in range(0, len(outputs), width))
    return sum(_names(row, label) for row, label in zip(rows, labels, strict=True))


def _names(row: Sequence[int], label: int) -> bool:
    if len(row) == 1:
        return label == int(row[0] > 0)
    return label < len(row) and all(row[label] > other for place, other in enumerate(row) if place != label)
