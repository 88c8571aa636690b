"""Reads the compiled artifacts that are committed with the sources: ABI, bytecode, runtime code, enums.

Only `compiler.py` writes them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from eth_utils.hexadecimal import decode_hex

from contracts.errors import ArtifactError

ARTIFACTS_PATH = Path(__file__).parent / "artifacts" / "contracts.json"


@dataclass(frozen=True)
class Artifact:
    """One compiled contract."""

    abi: list[dict[str, Any]]
    bytecode: bytes
    """What a deployment transaction carries, before the constructor's arguments."""
    runtime: bytes
    """What the chain holds afterwards, with zeros in the place of immutables."""
    immutables: Mapping[str, tuple[int, ...]]
    """Offsets of the 32-byte words of each immutable in `runtime`."""


@dataclass(frozen=True)
class Artifacts:
    """Everything that is published."""

    contracts: Mapping[str, Artifact]
    enums: Mapping[str, tuple[str, ...]]
    """Members of each Solidity enum, in order."""
    sources: Mapping[str, str]
    """SHA-256 of each source that went in, by source unit name."""


@cache
def read_artifacts() -> Artifacts:
    """The committed artifacts.

    Raises:
        ArtifactError: They are missing or malformed.
    """
    try:
        document = json.loads(ARTIFACTS_PATH.read_text(encoding="utf-8"))
        return Artifacts(
            contracts={name: _artifact(fields) for name, fields in document["contracts"].items()},
            enums={name: tuple(members) for name, members in document["enums"].items()},
            sources=document["sources"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"cannot read {ARTIFACTS_PATH}: {error!r}. Restore it, or run `make contracts`.") from error


def _artifact(fields: Mapping[str, Any]) -> Artifact:
    return Artifact(
        abi=fields["abi"],
        bytecode=decode_hex(fields["bytecode"]),
        runtime=decode_hex(fields["runtime"]),
        immutables={name: tuple(offsets) for name, offsets in fields["immutables"].items()},
    )
