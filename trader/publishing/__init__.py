"""Where models live: from a registry to a package, and from a trade to a registry.

`read_model_file` brings a seller's ONNX file in, by URL. A buyer's `write_bundle` makes a folder of a delivered model:
the file, a model card, a bill of materials and the manifest that was listed, all of them saying where the model comes
from (`Provenance`). `sign_bundle` signs the folder; `export_mlflow` and `export_hf` bring it to a registry.

What the seller said of the model is another party's text: it is one printable line here, and is escaped in whatever it
becomes part of. Libraries of registries are imported when they are needed.
"""

from trader.publishing.bundle import write_bundle
from trader.publishing.errors import PublishingError, RegistryError, SourceError
from trader.publishing.hub import export_hf
from trader.publishing.mlflow_registry import export_mlflow
from trader.publishing.provenance import Basis, Metric, Provenance, provenance_of, provenance_of_trade
from trader.publishing.signature import create_signing_key, sign_bundle, verify_bundle
from trader.publishing.sources import ModelFile, read_model_file

__all__ = [
    "Basis",
    "Metric",
    "ModelFile",
    "Provenance",
    "PublishingError",
    "RegistryError",
    "SourceError",
    "create_signing_key",
    "export_hf",
    "export_mlflow",
    "provenance_of",
    "provenance_of_trade",
    "read_model_file",
    "sign_bundle",
    "verify_bundle",
    "write_bundle",
]
