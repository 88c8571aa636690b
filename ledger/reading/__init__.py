"""From the log to whoever asks: queries, inclusion and consistency proofs, export, and the check of everything.

`fsck` shares with the writer only what an entry and its hash are.
"""
