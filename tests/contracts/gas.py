"""What the market's transactions cost; `python -m tests.contracts.gas` pins it in `contracts/artifacts/gas.json`.

The trade is of the committed proof vector (8 samples of 2 outputs), the disputes are about a model of 10⁶ parameters,
`verifier` is a bare call of the verifier with the same proof, and `trade_without_verifier` is purchase … confirm less
that call and the calldata that it shares with `prove`.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from eth_utils.crypto import keccak

from contracts import ChunkEvidence, SumStepEvidence
from contracts.published import ARTIFACTS_PATH
from tests.contracts.reference import MODULUS, apply_cipher, word
from tests.contracts.stage import FIRST, KEY, Stage, terms_of

GAS_PATH: Path = ARTIFACTS_PATH.with_name("gas.json")
TRANSACTION = 21_000

# 10⁶ parameters in columns of 2^15 - 6: 31 columns, 137 chunks in each but the last.
LAYOUT = replace(FIRST.layout, logrows=15, column_lengths=(32_762,) * 30 + (17_140,))
CHUNKS = 30 * 137 + 72
INDEX = CHUNKS - 3  # a full chunk; odd, so that its predecessor is its sibling
PATH = [keccak(word(level)) for level in range((CHUNKS - 1).bit_length())]
SALT = keccak(b"salt")
PARAMETERS = b"".join((17 * i - 2000).to_bytes(4, "big", signed=True) for i in range(240))


def root_of(leaf: bytes, index: int, path: Sequence[bytes]) -> bytes:
    node = leaf
    for level, sibling in enumerate(path):
        node = keccak(sibling + node) if index >> level & 1 else keccak(node + sibling)
    return node


def measure_trade() -> dict[str, int]:
    """Gas of each move of a trade that settles."""
    stage = Stage()
    receipts = {"list": stage.offer(terms_of(FIRST)), "openSession": stage.open_session()}
    for name in ("respond", "purchase", "prove", "accept", "reveal", "confirm"):
        receipts[name] = getattr(stage, name)()
    receipts["withdraw"] = stage.withdraw(stage.seller)
    function = stage.verifier.functions.verifyProof(FIRST.proof, list(FIRST.instances), list(FIRST.vka))
    receipts["verifier"] = stage.send(function, stage.seller)
    gas = {name: int(receipt["gasUsed"]) for name, receipt in receipts.items()}
    trade = sum(gas[name] for name in ("purchase", "prove", "accept", "reveal", "confirm"))
    return gas | {"trade_without_verifier": trade - (gas["verifier"] - TRANSACTION)}


def measure_disputes() -> dict[str, int]:
    """Gas of each dispute that a buyer wins, on a model of 10⁶ parameters whose trees are known along one path only."""
    ciphertext = apply_cipher(KEY, INDEX, word(MODULUS - 1) + SALT + PARAMETERS)
    delivered, committed = keccak(ciphertext), keccak(b"another leaf than the chunk's")
    chunk = ChunkEvidence(KEY, INDEX, ciphertext, PATH, committed, PATH, LAYOUT)
    root = root_of(committed, INDEX, PATH)
    gas = {
        kind: measure_dispute(kind, chunk, root, root, root_of(delivered, INDEX, PATH))
        for kind in ("disputeWeightsChunk", "disputeSumChunk")
    }
    before, after = (keccak(word(j) + word(MODULUS - 1) + SALT) for j in (INDEX - 1, INDEX))
    step = SumStepEvidence(
        index=INDEX,
        previous_sum=MODULUS - 1,
        previous_salt=SALT,
        previous_path=[after, *PATH[1:]],
        sum=MODULUS - 1,
        salt=SALT,
        sum_path=[before, *PATH[1:]],
        parameters=PARAMETERS,
        weights_path=PATH,
        layout=LAYOUT,
    )
    weights_root = root_of(keccak(SALT + PARAMETERS), INDEX, PATH)
    sums_root = root_of(after, INDEX, step.sum_path)
    return gas | {"disputeSumStep": measure_dispute("disputeSumStep", step, weights_root, sums_root, bytes(32))}


def measure_dispute(
    kind: str, evidence: ChunkEvidence | SumStepEvidence, weights_root: bytes, sums_root: bytes, ciphertext_root: bytes
) -> int:
    stage, audit = Stage(), replace(FIRST, layout=LAYOUT)
    stage.offer(terms_of(audit, weights_root=weights_root, sums_root=sums_root))
    stage.bring_to("Revealed", listing=2, audit=audit, root=ciphertext_root)
    receipt = stage.dispute(kind, evidence)
    assert stage.state() == "Slashed"
    return int(receipt["gasUsed"])


def measure() -> dict[str, int]:
    """All figures, in the order of a trade."""
    return measure_trade() | measure_disputes()


if __name__ == "__main__":
    GAS_PATH.write_text(json.dumps(measure(), indent=1) + "\n")
