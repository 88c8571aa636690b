"""Why a mutant that no test notices is none that a test should notice, by its name (see `mutants.py`)."""

REASONS: dict[str, str] = {
    "base/Balances._credit condition 2": "equivalent but for gas: nothing is added",
    "base/Balances._credit condition 4": "equivalent but for gas: a listing in ether names the same token",
    "libraries/Field.add arguments 1": "equivalent: a sum, the other way round",
    "libraries/Field.fromInt32 comparison 1": "equivalent: zero becomes the modulus, and products are taken modulo it",
    "libraries/Field.fromInt32 condition 1": "equivalent: the modulus more, and products are taken modulo it",
    "libraries/Field.fromInt32 constant 1": "equivalent: zero becomes the modulus, and products are taken modulo it",
    "libraries/Field.mul arguments 1": "equivalent: a product, the other way round",
    "libraries/Field.sub arguments 1": "equivalent: a sum, the other way round",
    "libraries/Layouts.locate comparison 2": "equivalent: a length of 240 is set to 240",
    "libraries/RunningSums._contribution constant 1": "equivalent: both sides of the equation are doubled",
    "periphery/Deposits.depositWithAuthorization modifier 1": "a second guard: only the token could call back",
    "periphery/JobEvaluator.evaluate constant 1": "what an escrow hands on to its hooks: ours say nothing there",
    "periphery/JobEvaluator.evaluate constant 2": "what an escrow hands on to its hooks: ours say nothing there",
    "periphery/ListingPolicy.admit constant 1": "another error: an offer of no bytes is refused either way",
    "periphery/ModelRequests._requireBatch comparison 3": "equivalent: the last full batch is one either way",
    "periphery/ModelRequests.withdraw modifier 1": "a second guard: the balance is zero before anything is called",
}
