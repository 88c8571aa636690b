"""Proofs of audit circuits: :mod:`zk.proofs.prover`, :mod:`zk.proofs.verifier`, and the process they run in."""
