"""The two parties: what each does in a trade, what it keeps in its folder, and the loops that survive accidents.

Read `party` (what both have in common), then `seller` and `buyer`; `driving` steps them until the trade is over.
"""
