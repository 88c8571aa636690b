"""A buyer's pipeline over the honest package, and over ones that were tampered with."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import rfc8785
from eth_utils.crypto import keccak

from tests.simulators.trading import OFFER, POLICY, SELLER
from trader.model import ManifestError, parse_manifest
from trader.package import statement_of
from trader.verify import BuyerPolicy, Sources, VerifiedListing, verify_listing

if TYPE_CHECKING:
    from contracts import Terms
    from trader.package import PublicPackage, SellerPackage
    from zk import Srs


class Verifier:
    """Runs the pipeline on the honest package, or on one that was tampered with."""

    def __init__(self, package: SellerPackage, srs: Srs) -> None:
        self.public = package.public
        self.terms = OFFER.terms(package.manifest)
        self.sources = Sources(lambda: None, lambda _: srs)

    def __call__(
        self,
        public: PublicPackage | None = None,
        terms: Terms | None = None,
        policy: BuyerPolicy = POLICY,
        sources: Sources | None = None,
        seller: str = SELLER.address,
    ) -> VerifiedListing:
        return verify_listing(7, seller, terms or self.terms, public or self.public, policy, sources or self.sources)

    def listed(
        self, *, terms: dict[str, Any] | None = None, policy: BuyerPolicy = POLICY, **changes: Any
    ) -> VerifiedListing:
        """With a manifest that differs, and terms that list it: a seller can lie in both."""
        manifest = json.loads(self.public.manifest)
        for path, value in changes.items():
            *parents, name = path.split("__")
            part = manifest
            for parent in parents:
                part = part[parent]
            part[name] = value
        data = rfc8785.dumps(manifest)
        listed = replace(self.terms, manifest_hash=keccak(data), **(terms or {}))
        with suppress(ManifestError):
            listed = replace(listed, statement=statement_of(parse_manifest(data)).digest)
        return self(replace(self.public, manifest=data), listed, policy)
