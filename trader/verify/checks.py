"""The numbered checks of a trade in words, as people are shown them; the modules of this room run them."""

from typing import Final

LISTING_CHECKS: Final = (
    "the manifest is the listed one, repeats the terms on the chain and names the seller that listed it",
    "market and verifier are the published ones",
    "the reference string is the named one",
    "the rebuilt audit circuit and its layout are the listed ones",
    "no committed column is unconstrained",
    "the opening, valid for this seller alone, binds what is proven to what will be delivered",
    "the encryption plan is secure and fits the model",
    "price, bond, windows, audit size, tolerance, committed outputs and exactness meet your policy",
)
"""Of `trader.verify.listing`, before anything is sent."""

ANSWER_CHECKS: Final = (
    "no output is larger than a model under the plan can give",
    "hardly any class could be another one within the tolerance",
    "the tolerance is small against the spread of scores and values",
    "each proven output is within the tolerance of the one seen",
    "the proven classes are those that the test showed",
)
"""Of `trader.verify.answers`: (1) to (3) before the price is locked, (4) and (5) before the delivery is accepted."""

DELIVERY_CHECKS: Final = (
    "the revealed key has the proven hash",
    "every chunk's parameters are those of the weights tree",
    "every running sum is that of the sums tree",
    "every running sum follows from the one before",
    "every parameter is below 2^24 in magnitude",
    "the parameters fit the architecture and give the committed outputs",
)
"""Of `trader.verify.delivery`, once the key is revealed."""
