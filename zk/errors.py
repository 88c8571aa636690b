"""Everything that this package raises on purpose.

::

    ZkError
    ├── SrsError                    a structured reference string that can't be used
    ├── CircuitError                no circuit, or not the listed one
    │   ├── UnsupportedArchitecture   the architecture breaks the convention, or has no circuit
    │   ├── SettingsMismatch          the settings are malformed or belong to another statement
    │   ├── CircuitMismatch           a rebuild does not give the listed digest
    │   ├── ForeignSrsPoints          the verifying key artifact carries points of another SRS
    │   └── UnlinkedColumn            a committed column that no constraint reads
    ├── StatementError              inputs or parameters that don't fit the circuit
    ├── ProofError                  a proof that can't be made or does not hold
    │   ├── InvalidProof              the verifier refuses it
    │   ├── MalformedProof            wrong length, or values outside the field
    │   └── CommitmentMismatch        it speaks of other inputs or other parameters
    └── WorkerError                 the proving process
        ├── WorkerFailed              ezkl refused the work (an error or a Rust panic)
        ├── WorkerTimeout             it ran longer than allowed
        ├── WorkerKilled              it died, most often for lack of memory
        └── JobLost                   the job was cancelled, or another prover has it
"""


class ZkError(Exception):
    """Root of all errors of :mod:`zk`."""


class SrsError(ZkError):
    """A structured reference string is missing, malformed, too small, or not the expected one."""


class CircuitError(ZkError):
    """An audit circuit can't be built or is not the expected one."""


class UnsupportedArchitecture(CircuitError):  # noqa: N818 - the name states the broken fact
    """The architecture does not follow the convention of :mod:`zk.circuits.audit`, or no circuit for it exists."""


class SettingsMismatch(CircuitError):  # noqa: N818
    """The settings are malformed, or are those of another statement."""


class CircuitMismatch(CircuitError):  # noqa: N818
    """A rebuilt circuit does not give the listed digest."""


class ForeignSrsPoints(CircuitError):  # noqa: N818
    """A verifying key artifact carries other SRS points than the given SRS: its author may hold the trapdoor."""


class UnlinkedColumn(CircuitError):  # noqa: N818
    """A committed column is not tied to the computation: its permutation is the identity."""


class StatementError(ZkError):
    """Inputs, salt or parameters do not have the shape or the range that the circuit expects."""


class ProofError(ZkError):
    """A proof can't be made or does not hold."""


class InvalidProof(ProofError):  # noqa: N818
    """The verifier refuses the proof."""


class MalformedProof(ProofError):  # noqa: N818
    """A proof has the wrong length, or its instances are not canonical field elements."""


class CommitmentMismatch(ProofError):  # noqa: N818
    """A proof is about other inputs or other parameters than the expected ones."""


class WorkerError(ZkError):
    """The process that runs ezkl failed."""


class WorkerFailed(WorkerError):  # noqa: N818
    """Ezkl refused the work: a ``RuntimeError`` or a Rust panic."""


class WorkerTimeout(WorkerError):  # noqa: N818
    """The work took longer than the limit."""


class WorkerKilled(WorkerError):  # noqa: N818
    """The process died, most often because it reached its memory limit."""


class JobLost(WorkerError):  # noqa: N818
    """A prover's lease has ended: its job was cancelled, or taken up by another."""
