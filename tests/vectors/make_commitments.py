"""Makes `commitments.json`: Merkle paths and disputes, few of them valid, each named for its defect.

Run `python -m tests.vectors.make_commitments` from the repository's root. The outcomes come from
`tests.simulators.escrow_judge`, a slow reading of the protocol that shares no code with the product; the tests replay
them on the product (paths) and on the contract (disputes). Deterministic; the parameter commitment is that of
`audit_proofs.json`, the seller eth-tester's, so that a market can bring these deliveries to a dispute.

- `paths`: `holds` says whether the leaf stands at the index of the tree with so many leaves.
- `deliveries`: what a seller has listed and delivered, and disputes about it: `convicts`, `unfounded` (authentic, but
  the seller is right) or `refused` (not what both have committed to).
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tests.simulators.escrow_judge import RefusedError
from tests.simulators.listed_model import KEY, SELLER, ListedModel, list_model, random_columns
from trader.delivery import (
    CiphertextChunk,
    Claim,
    RangeClaim,
    SumChunkClaim,
    SumLeaf,
    SumStepClaim,
    WeightsChunkClaim,
    encrypt_artifact,
)
from zk.binding import ChunkTree
from zk.binding.chunks import stored_sums, with_sums
from zk.binding.merkle import keccak256
from zk.field import MODULUS

FOLDER = Path(__file__).parent
TARGET = FOLDER / "commitments.json"
WEIGHTS, SUM, STEP, RANGE = WeightsChunkClaim, SumChunkClaim, SumStepClaim, RangeClaim


def parameter_commitment() -> bytes:
    """That of the first statement of `audit_proofs.json`: one input column comes before it."""
    proof = bytes.fromhex(json.loads((FOLDER / "audit_proofs.json").read_text())["first"]["proof"])
    return keccak256(proof[64:128])


def to_json(value: Any) -> Any:
    """Bytes and numbers as hex, containers as they are."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, int) and not isinstance(value, bool):
        return hex(value)
    if isinstance(value, dict):
        return {name: to_json(item) for name, item in value.items()}
    return [to_json(item) for item in value] if isinstance(value, list | tuple) else value


def evidence_from_json(kind: str, fields: dict[str, Any]) -> Claim:
    """The inverse of `to_json(asdict(evidence))`."""

    def data(text: str) -> bytes:
        return bytes.fromhex(text[2:])

    def path(texts: list[str]) -> tuple[bytes, ...]:
        return tuple(data(text) for text in texts)

    def sum_leaf(leaf: dict[str, Any]) -> SumLeaf:
        return SumLeaf(int(leaf["running_sum"], 16), data(leaf["salt"]), path(leaf["path"]))

    index = int(fields["index"], 16)
    if kind == STEP.__name__:
        previous = sum_leaf(fields["previous"]) if fields["previous"] else None
        current = sum_leaf(fields["current"])
        return STEP(index, previous, current, data(fields["parameters"]), path(fields["weights_path"]))
    if kind == RANGE.__name__:
        position, salt = int(fields["position"], 16), data(fields["salt"])
        return RANGE(index, position, salt, data(fields["parameters"]), path(fields["weights_path"]))
    ciphertext = fields["ciphertext"]
    chunk = CiphertextChunk(data(ciphertext["root"]), data(ciphertext["data"]), path(ciphertext["path"]))
    chunk_kind = WEIGHTS if kind == WEIGHTS.__name__ else SUM
    return chunk_kind(index, chunk, data(fields["leaf"]), path(fields["path"]))


def make_paths() -> Iterator[dict[str, Any]]:
    """Claims about trees of one, five and six leaves."""
    tree, other = (ChunkTree([keccak256(label + bytes([i])) for i in range(6)]) for label in (b"this", b"other"))
    single = ChunkTree([keccak256(b"single")])
    node = keccak256(tree.leaves[2] + tree.leaves[3])
    leaf, path = tree.leaves[2], tree.path(2)
    claims: dict[str, tuple[bool, bytes, bytes, int, tuple[bytes, ...], int]] = {
        "first leaf": (True, tree.root, tree.leaves[0], 0, tree.path(0), 6),
        "inner leaf": (True, tree.root, leaf, 2, path, 6),
        "last leaf beside padding": (True, tree.root, tree.leaves[5], 5, tree.path(5), 6),
        "single leaf is its own root": (True, single.root, single.leaves[0], 0, (), 1),
        "swapped siblings": (False, tree.root, leaf, 2, (path[1], path[0], path[2]), 6),
        "reversed path": (False, tree.root, leaf, 2, path[::-1], 6),
        "short path": (False, tree.root, leaf, 2, path[:-1], 6),
        "long path": (False, tree.root, leaf, 2, (*path, bytes(32)), 6),
        "no path": (False, tree.root, leaf, 2, (), 6),
        "neighbour's index": (False, tree.root, leaf, 3, path, 6),
        "index of the padding": (False, tree.root, bytes(32), 6, (bytes(32), *tree.path(5)[1:]), 6),
        "index plus the padded number of leaves": (False, tree.root, leaf, 10, path, 6),
        "neighbour's path": (False, tree.root, leaf, 2, tree.path(3), 6),
        "leaf of another tree": (False, tree.root, other.leaves[2], 2, path, 6),
        "path of another tree": (False, tree.root, leaf, 2, other.path(2), 6),
        "root of another tree": (False, other.root, leaf, 2, path, 6),
        "inner node as a leaf": (False, tree.root, node, 1, path[1:], 6),
        "root as a leaf": (False, tree.root, tree.root, 0, (), 6),
        "single leaf with a path": (False, single.root, single.leaves[0], 0, (bytes(32),), 1),
    }
    for name, (holds, root, claimed, index, siblings, count) in claims.items():
        case = {"root": root, "leaf": claimed, "index": index, "path": siblings, "leaf_count": count}
        yield {"name": name, "holds": holds, **to_json(case)}


def make_deliveries() -> Iterator[dict[str, Any]]:
    """What sellers did, and what buyers can say about it."""
    commitment = parameter_commitment()
    honest = list_model(random_columns(), parameter_commitment=commitment)
    sums = stored_sums(honest.artifact)
    other = list_model(random_columns(seed=1), parameter_commitment=commitment)
    corrupt = bytearray(honest.ciphertext())
    corrupt[3 * 1024 + 100] ^= 1
    wrong_sum = with_sums(honest.artifact, [*sums[:2], sums[2] + 1, *sums[3:]])
    step = list_model(honest.columns, forged_sums={2: sums[2] ^ 1}, parameter_commitment=commitment)
    unreduced = list_model(honest.columns, forged_sums={2: sums[2] + MODULUS}, parameter_commitment=commitment)
    yield deliver("honest seller", honest, honest.ciphertext(), honest_disputes(honest))
    yield deliver("one corrupt chunk", honest, bytes(corrupt), [(WEIGHTS, 3), (WEIGHTS, 2), (SUM, 3)])
    yield deliver("another model", honest, other.ciphertext(), [(WEIGHTS, 0), (WEIGHTS, 5), (SUM, 0), (STEP, 0)])
    yield deliver("another key", honest, encrypt_artifact(honest.artifact, bytes(32)), [(WEIGHTS, 0), (SUM, 0)])
    yield deliver("wrong sum delivered", honest, encrypt_artifact(wrong_sum, KEY), [(SUM, 2), (SUM, 3), (WEIGHTS, 2)])
    yield deliver("sum that does not follow", step, step.ciphertext(), [(STEP, 1), (STEP, 2), (STEP, 3), (STEP, 4)])
    large = [column.copy() for column in honest.columns]
    large[1][7], large[2][0] = 2**24, -(2**24) + 1
    outside = list_model(large, parameter_commitment=commitment)
    yield deliver(
        "parameter out of range", outside, outside.ciphertext(), [(RANGE, 3), (RANGE, 5), (STEP, 3), (WEIGHTS, 3)]
    )
    yield deliver("sum plus the modulus", unreduced, unreduced.ciphertext(), [(STEP, 2), (STEP, 3), (SUM, 2)])


Dispute = tuple[type[Claim], int] | tuple[str, Claim]


def deliver(name: str, listed: ListedModel, ciphertext: bytes, disputes: list[Dispute]) -> dict[str, Any]:
    """A delivery and the judge's outcomes of disputes about it."""
    judge = listed.judge(ciphertext)
    cases = []
    for first, second in disputes:
        if isinstance(first, str):
            title, evidence = first, second
        else:
            title, evidence = f"{first.__name__} of chunk {second}", listed.evidence(ciphertext, first, second)
        try:
            outcome = "convicts" if judge.convicts(evidence) else "unfounded"
        except RefusedError:
            outcome = "refused"
        fields = to_json(asdict(evidence))
        cases.append({"name": title, "kind": type(evidence).__name__, "outcome": outcome, "evidence": fields})
    roots = {
        "weights_root": judge.weights_root,
        "sums_root": judge.sums_root,
        "ciphertext_root": judge.ciphertext_root,
    }
    return {"name": name, **to_json(roots), "disputes": cases}


def honest_disputes(listed: ListedModel) -> list[Dispute]:
    """The truth about an honest seller, and every way in which evidence can be bent."""
    ciphertext = listed.ciphertext()
    weights, sums, step = (listed.evidence(ciphertext, kind, 2) for kind in (WEIGHTS, SUM, STEP))
    chunk = weights.ciphertext
    truth: list[Dispute] = [(kind, index) for kind in (WEIGHTS, SUM, STEP, RANGE) for index in (0, 2, 5)]
    span = listed.evidence(ciphertext, RANGE, 2)
    changed_chunk = replace(chunk, data=chunk.data[:-1] + bytes([chunk.data[-1] ^ 1]))
    neighbour = listed.evidence(ciphertext, WEIGHTS, 3)
    previous, current = step.previous, step.current
    return [
        *truth,
        ("wrong index", replace(weights, index=3)),
        ("index beyond the chunks", replace(weights, index=6)),
        ("index plus the padded number of chunks", replace(weights, index=10)),
        ("another chunk's ciphertext", replace(weights, ciphertext=neighbour.ciphertext)),
        ("another chunk's leaf", replace(weights, leaf=neighbour.leaf, path=neighbour.path)),
        ("leaf of the sums tree", replace(weights, leaf=sums.leaf, path=sums.path)),
        ("leaf of the weights tree", replace(sums, leaf=weights.leaf, path=weights.path)),
        ("ciphertext leaf as a weights leaf", replace(weights, leaf=keccak256(chunk.data), path=chunk.path)),
        ("corrupted ciphertext chunk", replace(weights, ciphertext=changed_chunk)),
        ("invented leaf", replace(weights, leaf=bytes(32))),
        ("short path", replace(weights, path=weights.path[:-1])),
        ("long path", replace(weights, path=(*weights.path, bytes(32)))),
        ("swapped siblings", replace(weights, path=(weights.path[1], weights.path[0], weights.path[2]))),
        ("short ciphertext path", replace(weights, ciphertext=replace(chunk, path=chunk.path[:-1]))),
        ("swapped ciphertext siblings", replace(weights, ciphertext=replace(chunk, path=chunk.path[::-1]))),
        ("ciphertext under another root", replace(weights, ciphertext=replace(chunk, root=bytes(32)))),
        ("range of another chunk", replace(span, index=3)),
        ("range of invented parameters", replace(span, parameters=b"\x7f" * 960)),
        ("range with another salt", replace(span, salt=bytes(32))),
        ("range of a parameter that no chunk has", replace(span, position=240)),
        ("range with a short path", replace(span, weights_path=span.weights_path[:-1])),
        ("range with the sums tree's path", replace(span, weights_path=current.path)),
        ("step at another index", replace(step, index=3)),
        ("step with an invented previous sum", replace(step, previous=replace(previous, running_sum=0))),
        ("step from its own sum", replace(step, previous=current)),
        ("step with an invented sum", replace(step, current=replace(current, running_sum=current.running_sum ^ 1))),
        ("step with another salt", replace(step, current=replace(current, salt=bytes(32)))),
        ("step with other parameters", replace(step, parameters=bytes(960))),
        ("step with a short weights path", replace(step, weights_path=step.weights_path[:-1])),
        ("step with the sums tree's path for the weights", replace(step, weights_path=current.path)),
    ]


def make() -> str:
    """The file's text."""
    layout = list_model(random_columns()).layout
    head = {"logrows": layout.logrows, "column_lengths": layout.lengths, "key": KEY}
    document = {
        **to_json(head | {"parameter_commitment": parameter_commitment(), "seller": SELLER}),
        "paths": list(make_paths()),
        "deliveries": list(make_deliveries()),
    }
    return json.dumps(document, indent=1) + "\n"


if __name__ == "__main__":
    TARGET.write_text(make())
