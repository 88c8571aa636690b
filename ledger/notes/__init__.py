"""Signed checkpoints: what a log's keeper and its witnesses put their names to, in the formats of https://c2sp.org.

Read `keys` (who signs, and how a signature is checked), `note` (the text with its signature lines), `policy` (whose
signatures are enough), then `keyfile` and `signing` (a log's keeper signs, and never takes a signature back).

The formats, so that standard tools read ours and ours reads theirs: signed-note v1.0.0, tlog-checkpoint v1.0.0,
tlog-cosignature v1.1.0-rc.1, tlog-policy (of 2026-07-22, no version yet).
"""
