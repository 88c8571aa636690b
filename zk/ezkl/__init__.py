"""The gate to ezkl: `process` runs it, `worker` limits and stops that process, `queue` orders the proofs of a machine.

`zk.ezkl.process` is the only file that imports ezkl.
"""
