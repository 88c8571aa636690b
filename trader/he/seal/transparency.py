"""Results that SEAL refuses to give: transparent ciphertexts, all of whose components but the first are zero.

SEAL takes them for a mistake, since anybody can read them. Here they are honest: a unit without weights gives one, its
bias, whatever the samples are; so does a layer, a diagonal or an output of zeros. And a buyer may bring them about, by
equal seeds of ciphertexts that a layer subtracts from each other: an error would tell it that. What leaves is
re-randomised in any case (`trader.he.evaluation.privacy`).

What is done to them, automorphisms, sums, relinearisation and rescaling, is linear. So it is done to c + m and to m,
where m has a uniform second component, and the results are subtracted. If only the first component of c is other than
zero, nothing but that one differs between the two, and the result is as exact as it would be without m. Else each of
the two has its own noise of key switching, half a bit more than one.
"""

from collections.abc import Callable

import numpy as np

from trader.he.errors import WireError
from trader.he.ring import kernels
from trader.he.ring.sampling import random_residues
from trader.he.types import Residues


def opaque(operate: Callable[[Residues], Residues], ciphertexts: Residues, primes: tuple[int, ...]) -> Residues:
    """What a linear operation of SEAL's makes of ciphertexts, be it transparent or not.

    Args:
        operate: takes ciphertexts [..., components, l, N], and gives one with the same primes or the first of them.
        ciphertexts: residues modulo the first l primes.
        primes: l of them at least.

    Raises:
        WireError: SEAL refuses the ciphertexts for another reason; none is known that `trader.he.wire.container` lets
            pass.
    """
    try:
        return operate(ciphertexts)
    except RuntimeError as error:
        if "transparent" not in str(error):
            raise WireError(f"the request can't be evaluated: {error}") from error
    mask, masked = np.zeros_like(ciphertexts), ciphertexts.copy()
    for index, prime in enumerate(primes[: ciphertexts.shape[-2]]):
        for place in np.ndindex(ciphertexts.shape[:-3]):
            mask[(*place, 1, index)] = random_residues(ciphertexts.shape[-1], prime)
            kernels.add(mask[(*place, 1, index)], prime, masked[(*place, 1, index)])
    result, subtrahend = operate(masked), operate(mask)
    for component, subtracted in zip(result, subtrahend, strict=True):
        for row, other, prime in zip(component, subtracted, primes, strict=False):
            kernels.subtract(other, prime, row)
    return result
