"""SEAL's parameters for a plan."""

from trader.he import seal
from trader.he.errors import PlanError
from trader.he.planning.plan import HePlan


def plan_parameters(plan: HePlan) -> seal.Parameters:
    """SEAL's parameters of a plan.

    Raises:
        PlanError: they don't give the plan's `parameters_id`.
    """
    parameters = seal.parameters(plan.ring_degree, plan.modulus_bits, plan.special_primes)
    if parameters.parameters_id != plan.parameters_id:
        raise PlanError(
            f"the plan's parameters hash to {parameters.parameters_id}, it states {plan.parameters_id}. "
            "Ask the seller for a plan made with this release."
        )
    return parameters
