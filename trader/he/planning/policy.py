"""What a party asks of a plan before it makes a key or answers a request."""

import math
from dataclasses import dataclass
from functools import lru_cache

from trader.he.errors import SecurityError
from trader.he.planning.plan import HePlan
from trader.he.wire.key_proof import Form

FLOODING_MARGIN_BITS = 5
"""Flooding exceeds the largest noise that a proven public key can bring in by this at least, in a sum over all
coefficients of a response."""


@lru_cache(maxsize=64)
def least_flooding_bits(ring_degree: int, components: int) -> int:
    """Return the bits of flooding that cover the noise of encryptions of zero under every key that can be proven.

    That noise is bounded for each coefficient. Who looks for a pattern in all N of them, by a correlation, gains the
    square root of N over the flooding noise, which is independent from one coefficient to the next.
    """
    together_bits = math.log2(ring_degree) / 2
    return math.ceil(Form(ring_degree, ()).hidden_noise_bits(components) + together_bits + FLOODING_MARGIN_BITS)


def check_flooding(plan: HePlan) -> None:
    """Refuse a plan whose flooding doesn't hide the noise of encryptions of zero under every key that can be proven.

    Raises:
        SecurityError: With both sizes.
    """
    for layout in plan.layouts:
        least_bits = least_flooding_bits(layout.ring_degree, layout.components)
        if layout.flooding_bits < least_bits:
            raise SecurityError(
                f"the plan floods with {layout.flooding_bits} bits, {least_bits} are needed to cover the noise that a "
                "proven public key can bring in. Prepare the model again."
            )


@dataclass(frozen=True, slots=True)
class SecurityPolicy:
    """What a party asks of a plan.

    Attributes:
        security_bits: Least security of the encryption.
        statistical_bits: Least distance, in bits, between the flooding noise and the noise that it hides.
    """

    security_bits: int = 128
    statistical_bits: int = 0

    def check(self, plan: HePlan) -> None:
        """Refuse a plan that falls short; the level of the encryption is recomputed, whatever the plan claims.

        Raises:
            SecurityError: With the level found and the level asked for.
        """
        check_flooding(plan)
        for layout in plan.layouts[1:]:
            self.check(layout)
        if plan.security_bits < self.security_bits:
            raise SecurityError(
                f"ring degree {plan.ring_degree} with a modulus of {sum(plan.modulus_bits)} bits gives "
                f"{plan.security_bits or 'less than 128'} bits of security, {self.security_bits} are asked for. "
                "Don't encrypt under this plan."
            )
        if plan.statistical_bits < self.statistical_bits:
            raise SecurityError(
                f"the plan floods with {plan.statistical_bits} statistical bits, {self.statistical_bits} are asked for"
            )


DEFAULT_POLICY = SecurityPolicy()
