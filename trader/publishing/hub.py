"""Bundles to the Hugging Face Hub. The token is `HF_TOKEN`, or what `hf auth login` keeps; never an argument."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trader.publishing.bundle import check_bundle
from trader.publishing.errors import PublishingError, RegistryError, missing_library

if TYPE_CHECKING:
    from pathlib import Path

HUB = "https://huggingface.co"


LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def hub_endpoint() -> str:
    """Return the Hub's address, `HF_ENDPOINT` where that is set.

    Raises:
        PublishingError: The token would go there in clear.
    """
    endpoint = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    if not is_protected(endpoint):
        raise PublishingError(f"HF_ENDPOINT is {endpoint[:100]}, where a token would go in clear; give one with https")
    return endpoint


def is_protected(url: str) -> bool:
    """Whether nobody on the way reads what goes to a URL: it is encrypted, or stays on this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def export_hf(folder: Path, repository: str, *, private: bool = True) -> str:
    """Upload a bundle to a repository, which is made if it isn't there; return the address of the commit.

    Args:
        folder: A bundle, signed or not.
        repository: `owner/name`.
        private: Whether a repository that is made can be seen by its owner alone.

    Raises:
        PublishingError: The folder is no bundle, or the name none of a repository.
        RegistryError: The Hub doesn't answer, or refuses.
        EnvironmentFaultError: The library is missing.
    """
    check_bundle(folder)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HFValidationError
    except ImportError as error:
        raise missing_library(error) from error
    endpoint = hub_endpoint()
    api = HfApi(endpoint=endpoint)
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Model bought on ModelSeal")
    except HFValidationError as error:
        raise PublishingError(f"{repository!r} is not the name of a repository: {error}") from error
    except Exception as error:  # those of the library and of its transport have no common root
        raise RegistryError(f"the Hub at {endpoint} refuses: {_first_line(error)}") from error
    return str(commit.commit_url)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
