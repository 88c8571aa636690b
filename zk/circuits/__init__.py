"""Audit circuits: from a public architecture to the statement that a seller proves.

Read :mod:`zk.circuits.audit` first (what a circuit is), then :mod:`zk.circuits.build` (settings search, rebuild).
"""
