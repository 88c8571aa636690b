"""Audit circuits: from a public architecture to the statement that a seller proves.

Read :mod:`~zk.circuits.audit` (what a circuit is) and :mod:`~zk.circuits.build` (build and rebuild) first; then, in the
order of work, :mod:`~zk.circuits.graph` with :mod:`~zk.circuits.scales` and :mod:`~zk.circuits.functions` (the ONNX
that ezkl compiles), :mod:`~zk.circuits.planner` and :mod:`~zk.circuits.settings` (the choices),
:mod:`~zk.circuits.key_files` and :mod:`~zk.circuits.keys` (what ezkl makes of them, and what must be checked in it).
"""
