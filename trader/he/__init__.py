"""Encrypted testing of a model that nobody shows: CKKS, with samples in slots and features across ciphertexts.

The seller calls `plan_encryption` once, then `evaluate` per request; the buyer opens a `ClientSession`, encrypts,
decrypts, and shows others only what `commit_outputs` makes of the outputs. This package is the only one that imports
TenSEAL.
"""

from trader.he.errors import DeviceError, HeError, PlanError, SecurityError, SessionError, WireError
from trader.he.evaluation.evaluate import evaluate
from trader.he.layouts.visible import charged_samples
from trader.he.planning.forecast import Forecast, forecast
from trader.he.planning.parse import parse_plan
from trader.he.planning.plan import HePlan
from trader.he.planning.policy import SecurityPolicy
from trader.he.planning.problem import PlanningProblem
from trader.he.planning.search import STATISTICAL_BITS, Candidate, candidates, plan_encryption
from trader.he.session import ClientSession, commit_outputs
from trader.he.wire.container import digest
from trader.he.wire.fetch import fetch_container

__all__ = [
    "STATISTICAL_BITS",
    "Candidate",
    "ClientSession",
    "DeviceError",
    "Forecast",
    "HeError",
    "HePlan",
    "PlanError",
    "PlanningProblem",
    "SecurityError",
    "SecurityPolicy",
    "SessionError",
    "WireError",
    "candidates",
    "charged_samples",
    "commit_outputs",
    "digest",
    "evaluate",
    "fetch_container",
    "forecast",
    "parse_plan",
    "plan_encryption",
]
