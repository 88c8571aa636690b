"""The two parties: what each does in a trade, what it keeps in its folder, and the loops that survive accidents.

Read `party` (whose move it is), then `seller` with `answering`, `proving` and `key_release`, and `buyer` with
`listing_check`, `testing`, `purchasing` and `receiving`: one module for each move. `actor` sends and logs for both,
`filenames` says what lies in their folders, `conduct` is where a party could cheat, and `driving` steps them until the
trade is over.
"""
