"""Everything that this package raises on purpose.

::

    ZkError
    ├── SrsError                         a structured reference string that can't be used
    ├── CircuitError                     no circuit, or not the listed one
    │   ├── UnsupportedArchitectureError   the architecture breaks the convention, or has no circuit
    │   ├── SettingsMismatchError          the settings are malformed or belong to another statement
    │   ├── CircuitMismatchError           a rebuild does not give the listed digest
    │   ├── ForeignSrsPointsError          the verifying key artifact carries points of another SRS
    │   └── UnlinkedColumnError            a committed column that no constraint reads
    ├── StatementError                   inputs or parameters that don't fit the circuit
    ├── ProofError                       a proof that can't be made or does not hold
    │   ├── InvalidProofError              the verifier refuses it
    │   ├── MalformedProofError            wrong length, or values outside the field
    │   └── CommitmentMismatchError        it speaks of other inputs or other parameters
    └── WorkerError                      the proving process
        ├── WorkerFailedError              ezkl refused the work (an error or a Rust panic)
        ├── WorkerTimeoutError             it ran longer than allowed
        ├── WorkerKilledError              it died, most often for lack of memory
        └── JobLostError                   the job was cancelled, or another prover has it
"""


class ZkError(Exception):
    """Root of all errors of `zk`."""


class SrsError(ZkError):
    """A structured reference string is missing, malformed, too small, or not the expected one."""


class CircuitError(ZkError):
    """An audit circuit can't be built or is not the expected one."""


class UnsupportedArchitectureError(CircuitError):
    """The architecture does not follow the convention of `zk.circuits.audit`, or no circuit for it exists."""


class SettingsMismatchError(CircuitError):
    """The settings are malformed, or are those of another statement."""


class CircuitMismatchError(CircuitError):
    """A rebuilt circuit does not give the listed digest."""


class ForeignSrsPointsError(CircuitError):
    """A verifying key artifact carries other SRS points than the given SRS: its author may hold the trapdoor."""


class UnlinkedColumnError(CircuitError):
    """A committed column is not tied to the computation: its permutation is the identity."""


class StatementError(ZkError):
    """Inputs, salt or parameters do not have the shape or the range that the circuit expects."""


class ProofError(ZkError):
    """A proof can't be made or does not hold."""


class InvalidProofError(ProofError):
    """The verifier refuses the proof."""


class MalformedProofError(ProofError):
    """A proof has the wrong length, or its instances are not canonical field elements."""


class CommitmentMismatchError(ProofError):
    """A proof is about other inputs or other parameters than the expected ones."""


class WorkerError(ZkError):
    """The process that runs ezkl failed."""


class WorkerFailedError(WorkerError):
    """Ezkl refused the work: a `RuntimeError` or a Rust panic."""


class WorkerTimeoutError(WorkerError):
    """The work took longer than the limit."""


class WorkerKilledError(WorkerError):
    """The process died, most often because it reached its memory limit."""


class JobLostError(WorkerError):
    """A prover's lease has ended: its job was cancelled, or taken up by another."""
