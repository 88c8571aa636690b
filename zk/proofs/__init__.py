"""Proofs of audit circuits: :mod:`~zk.proofs.prover` and :mod:`~zk.proofs.verifier` on :mod:`~zk.proofs.commitment`.

:mod:`~zk.proofs.worker` runs ezkl in a process of its own; :mod:`~zk.proofs.ezkl_process` is that process, and the only
file that knows ezkl.
"""
