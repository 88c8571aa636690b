"""What follows from the entries, so that questions are cheap and answers can be shown to be complete.

Reading order: `keys` (under which keys an entry stands), `merkle_map` (a set of keys under one root, with proofs of
presence and absence), `index` (both together: the root that a log commits itself to), `trades` (what trades and
listings have come to), all pure; then `upkeep`, which keeps the tables in step with the entries.

Nothing here is the log's word: all of it is made of the entries again at any time (`rebuild`), and
`ledger.reading.fsck` does so on its own.
"""
