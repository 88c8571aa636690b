"""Audit circuits: from a public architecture to the statement that a seller proves.

Read `zk.circuits.audit` (what a circuit is) and `zk.circuits.build` (build and rebuild) first; then, in the order of
work, `zk.circuits.architecture` (what the seller publishes), `zk.circuits.audit_graph` with `zk.circuits.scales` and
`zk.circuits.nonpolynomial` (the ONNX that ezkl compiles), `zk.circuits.bounds` (no value wraps around p),
`zk.circuits.planner` and `zk.circuits.settings` (the choices), `zk.circuits.key_files` and `zk.circuits.keys` (what
ezkl makes of them, and what must be checked in it).
"""
