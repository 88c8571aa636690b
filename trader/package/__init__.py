"""Packages: what `modelseal model prepare` makes of an ONNX file, on disk.

A seller's package is a folder with two halves. `public/` is what every buyer gets; `secret/` never leaves the seller.
Read `public` and `seller` (what is in them), then `prepare` (how they are made).
"""

from trader.package.budget import ProofBudget
from trader.package.circuit import open_circuit, read_package_srs
from trader.package.errors import DamagedPackageError, FidelityError, PackageError, ProofBudgetError, QuotaError
from trader.package.integrity import check_deliverable
from trader.package.leakage import check_published, parameter_bits, safe_quota
from trader.package.planning import PlanningData, planning_data
from trader.package.prepare import BUYERS_PER_LISTING, DEFAULT_AUDIT_SAMPLES, PrepareOptions, prepare
from trader.package.public import PUBLIC, PublicPackage
from trader.package.seller import SellerPackage, proof_budget, read_canonical
from trader.package.statement import layout_of, statement_of
from trader.package.verification import CheckedPart, verify_package

__all__ = [
    "BUYERS_PER_LISTING",
    "DEFAULT_AUDIT_SAMPLES",
    "PUBLIC",
    "CheckedPart",
    "DamagedPackageError",
    "FidelityError",
    "PackageError",
    "PlanningData",
    "PrepareOptions",
    "ProofBudget",
    "ProofBudgetError",
    "PublicPackage",
    "QuotaError",
    "SellerPackage",
    "check_deliverable",
    "check_published",
    "layout_of",
    "open_circuit",
    "parameter_bits",
    "planning_data",
    "prepare",
    "proof_budget",
    "read_canonical",
    "read_package_srs",
    "safe_quota",
    "statement_of",
    "verify_package",
]
