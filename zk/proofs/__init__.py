"""Proofs of audit circuits: `zk.proofs.prover` and `zk.proofs.verifier` on `zk.binding.tensors`.

`zk.ezkl.worker` runs ezkl in a process of its own; `zk.ezkl.process` is that process, and the only
file that knows ezkl.
"""
