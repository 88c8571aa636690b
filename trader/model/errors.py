"""What can be wrong with a model, its data or its manifest.

TraderError
└── ModelError
    ├── UnsafeModelError          the ONNX file is not one that we open: too big, external data, bomb, malformed
    ├── UnsupportedOperatorError  a well-formed model with an operator that cannot be traded; names operator and node
    ├── PrecisionError            the parameters don't fit the integer grid
    ├── DataError                 user data: missing values, wrong shape, out of range; names row and column
    ├── ArchitectureError         architecture.onnx is not of the canonical form
    └── ManifestError             manifest.json is not canonical, not complete or not of this version
"""

from trader.errors import TraderError


class ModelError(TraderError):
    """Root of what `trader.model` raises."""


class UnsafeModelError(ModelError):
    """The ONNX file was refused before it was interpreted."""


class UnsupportedOperatorError(ModelError):
    """The model uses an operator, or a form of it, that can't be evaluated encrypted."""

    def __init__(self, operator: str, node: str, reason: str, alternative: str) -> None:
        self.operator = operator
        self.node = node
        super().__init__(f"{operator} at node '{node}' is not supported: {reason}. {alternative}")


class PrecisionError(ModelError):
    """The parameters can't be held on the integer grid with useful precision."""


class DataError(ModelError):
    """Data that the user gave can't be used with this model."""


class ArchitectureError(ModelError):
    """The architecture file isn't one that the canonical form allows."""


class ManifestError(ModelError):
    """The manifest isn't canonical, complete, or of a known version."""
