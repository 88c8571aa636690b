"""From a log's keeper to everybody: signed checkpoints, witnesses' cosignatures, tiles, and watching another's log.

Read `signing` (what the keeper signs, once and for all), `submission` (how witnesses get to see it), and `tiles` (the
log as files for standard clients).
"""
