"""From a model and the ranges of its values to the plan of its encrypted test.

Read `plan` (what a plan says, and what a buyer checks in it), then `search` (how a seller finds the cheapest one) with
`propagation` (scales, bounds and noise) and `forecast` (what a test will cost).
"""
