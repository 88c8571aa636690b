"""Errors of this package; `reverts.py` makes the readable form of the contracts' own.

ContractsError
├── MarketRevertedError        the market refused a move: the broken fact by name, with its arguments
├── ArtifactError         contracts.json is missing, unreadable or stale
├── CompilerError         no compiler, or it refused the sources
├── DeploymentError       a deployment transaction failed
└── UnexpectedCodeError   the code at an address is not the published one
"""

from collections.abc import Mapping
from typing import Any


class ContractsError(Exception):
    """Root of the package's errors."""


class ArtifactError(ContractsError):
    """The compiled artifacts are missing, unreadable or stale."""


class CompilerError(ContractsError):
    """No usable compiler, or it refused the sources."""


class DeploymentError(ContractsError):
    """A deployment transaction failed."""


class UnexpectedCodeError(ContractsError):
    """The code at an address is not the published one."""


class MarketRevertedError(ContractsError):
    """The market refused a move.

    Attributes:
        name: The Solidity error, e.g. `UnexpectedState`.
        arguments: Its arguments by name; enum values by the name of their member.
    """

    def __init__(self, name: str, arguments: Mapping[str, Any]) -> None:
        self.name = name
        self.arguments = dict(arguments)
        super().__init__(name, self.arguments)

    def __str__(self) -> str:
        return f"the market refused: {self.name}(" + ", ".join(f"{k}={v}" for k, v in self.arguments.items()) + ")"
