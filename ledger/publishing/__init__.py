"""From a log's keeper to everybody: signed checkpoints, witnesses' cosignatures, tiles; and what others check of them.

The keeper's side: `signing` (what is signed, once and for all), `submission` (how witnesses get to see it), `tiles`
(the log as files for standard clients). Everybody else's: `views` (is what I was given whole and signed, and do two
views agree?), `tile_reader`, `watching` (is what I am shown what others are shown?).
"""
