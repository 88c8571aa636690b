"""From a model and the ranges of its values to the plan of its encrypted test.

Read `plan` first (what follows from a plan), then `batched` and `packed` (the kinds of plans, by where samples and
features stand); `fields` has what is written, `parse` reads it, and `policy` says what a party asks of it. Then come
`problem` and `search` (how a seller finds the cheapest plan), which rest on `scales`, `noise` and `propagation` and
hand over to `writing`. `request_order` is the order of a request's parts, `forecast` what a test will cost.
"""
