"""What `modelseal seller import` does; imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trader.cli.output import JsonFlag, print_figures
from trader.errors import CallerError
from trader.files import create_file
from trader.publishing import read_model_file

MEBIBYTE = 1 << 20

SourceUrl = Annotated[
    str,
    typer.Argument(
        metavar="URL",
        help="hf://owner/name@revision/model.onnx, models:/name/version, runs:/run/model, https://… or a file.",
    ),
]
ModelOut = Annotated[Path, typer.Option("--out", metavar="FILE", help="The ONNX file to write; never overwritten.")]
MaxSize = Annotated[int, typer.Option("--max-mib", min=1, max=256, help="Refuse larger files.")]
TrackingUri = Annotated[
    str | None, typer.Option("--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="The MLflow server.")
]


def import_command(
    url: SourceUrl,
    out: ModelOut,
    max_mib: MaxSize = 256,
    tracking_uri: TrackingUri = None,
    as_json: JsonFlag = False,
) -> None:
    """Bring an ONNX file here from a Hugging Face repository, an MLflow registry, or the web; no pickle is opened."""
    if out.exists() or out.is_symlink():
        raise CallerError(f"{out} exists: name another file, or remove it.")
    found = read_model_file(url, max_bytes=max_mib * MEBIBYTE, tracking_uri=tracking_uri)
    try:
        create_file(out, found.data)
    except FileExistsError as error:
        raise CallerError(f"{out} exists: name another file, or remove it.") from error
    print_figures(
        {
            "file": str(out),
            "source": found.source,
            "revision": found.revision,
            "bytes": len(found.data),
            "sha256": found.sha256,
        },
        as_json,
    )
