"""What the chain enforces, and how Python finds it.

Start at `deploy` and `bind_market` (`manager.py`); what the market does is told in
`src/interfaces/IModelMarket.sol`. Sending transactions is left to the caller.
"""

from contracts.errors import (
    ArtifactError,
    CompilerError,
    ContractsError,
    DeploymentError,
    MarketRevertedError,
    UnexpectedCodeError,
)
from contracts.events import MarketEvent
from contracts.logs import read_logs
from contracts.manager import (
    PUBLISHED_SALT,
    Deployment,
    bind_market,
    bind_verifier,
    deploy,
    published_deployment,
    register_vka,
    verify_deployment,
)
from contracts.reverts import decode_revert
from contracts.types import (
    ETH,
    ChunkEvidence,
    Layout,
    RangeEvidence,
    SumStepEvidence,
    Terms,
    Windows,
    answer_digest,
    delivery_digest,
    layout_hash,
    offer_digest,
    outputs_digest,
    session_digest,
)

__all__ = [
    "ETH",
    "PUBLISHED_SALT",
    "ArtifactError",
    "ChunkEvidence",
    "CompilerError",
    "ContractsError",
    "Deployment",
    "DeploymentError",
    "Layout",
    "MarketEvent",
    "MarketRevertedError",
    "RangeEvidence",
    "SumStepEvidence",
    "Terms",
    "UnexpectedCodeError",
    "Windows",
    "answer_digest",
    "bind_market",
    "bind_verifier",
    "decode_revert",
    "delivery_digest",
    "deploy",
    "layout_hash",
    "offer_digest",
    "outputs_digest",
    "published_deployment",
    "read_logs",
    "register_vka",
    "session_digest",
    "verify_deployment",
]
