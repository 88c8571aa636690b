"""What the chain enforces, and how Python finds it.

Start at `deploy` and `bind_market` (`manager.py`); what the market does is told in
`src/interfaces/IModelMarket.sol`. Sending transactions is left to the caller.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contracts.agreements import Acceptance, Refund
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
        bind_directory,
        bind_market,
        bind_verifier,
        deploy,
        deploy_directory,
        published_deployment,
        register_vka,
        verify_deployment,
    )
    from contracts.periphery import Periphery, bind_periphery, deploy_periphery, periphery_address
    from contracts.reverts import decode_revert
    from contracts.types import (
        ETH,
        MOST_PROOF_FEES,
        NO_POLICY,
        ChunkEvidence,
        Layout,
        RangeEvidence,
        Statement,
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
    "MOST_PROOF_FEES",
    "NO_POLICY",
    "PUBLISHED_SALT",
    "Acceptance",
    "ArtifactError",
    "ChunkEvidence",
    "CompilerError",
    "ContractsError",
    "Deployment",
    "DeploymentError",
    "Layout",
    "MarketEvent",
    "MarketRevertedError",
    "Periphery",
    "RangeEvidence",
    "Refund",
    "Statement",
    "SumStepEvidence",
    "Terms",
    "UnexpectedCodeError",
    "Windows",
    "answer_digest",
    "bind_directory",
    "bind_market",
    "bind_periphery",
    "bind_verifier",
    "decode_revert",
    "delivery_digest",
    "deploy",
    "deploy_directory",
    "deploy_periphery",
    "layout_hash",
    "offer_digest",
    "outputs_digest",
    "periphery_address",
    "published_deployment",
    "read_logs",
    "register_vka",
    "session_digest",
    "verify_deployment",
]

_MODULES = {
    "ETH": "contracts.types",
    "MOST_PROOF_FEES": "contracts.types",
    "NO_POLICY": "contracts.types",
    "PUBLISHED_SALT": "contracts.manager",
    "Acceptance": "contracts.agreements",
    "ArtifactError": "contracts.errors",
    "ChunkEvidence": "contracts.types",
    "CompilerError": "contracts.errors",
    "ContractsError": "contracts.errors",
    "Deployment": "contracts.manager",
    "DeploymentError": "contracts.errors",
    "Layout": "contracts.types",
    "MarketEvent": "contracts.events",
    "MarketRevertedError": "contracts.errors",
    "Periphery": "contracts.periphery",
    "RangeEvidence": "contracts.types",
    "Refund": "contracts.agreements",
    "Statement": "contracts.types",
    "SumStepEvidence": "contracts.types",
    "Terms": "contracts.types",
    "UnexpectedCodeError": "contracts.errors",
    "Windows": "contracts.types",
    "answer_digest": "contracts.types",
    "bind_directory": "contracts.manager",
    "bind_market": "contracts.manager",
    "bind_periphery": "contracts.periphery",
    "bind_verifier": "contracts.manager",
    "decode_revert": "contracts.reverts",
    "delivery_digest": "contracts.types",
    "deploy": "contracts.manager",
    "deploy_directory": "contracts.manager",
    "deploy_periphery": "contracts.periphery",
    "layout_hash": "contracts.types",
    "offer_digest": "contracts.types",
    "outputs_digest": "contracts.types",
    "periphery_address": "contracts.periphery",
    "published_deployment": "contracts.manager",
    "read_logs": "contracts.logs",
    "register_vka": "contracts.manager",
    "session_digest": "contracts.types",
    "verify_deployment": "contracts.manager",
}
"""Where each public name lives; it is imported when first used: who needs an error alone does not pay for web3."""

if not TYPE_CHECKING:  # a type checker knows the names above, and no others

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module 'contracts' has no attribute {name!r}")
        return getattr(import_module(_MODULES[name]), name)
