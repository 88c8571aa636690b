"""`modelseal model adapt`: a network whose activations become squares, which are tested exactly."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from trader.adapt import adapt_model
from trader.cli.output import JsonFlag, print_figures, progress_bar
from trader.cli.prepare import ModelFile  # noqa: TC001 - typer reads the annotations
from trader.files import write_file
from trader.model import read_labels, read_model, read_samples


def adapt_command(
    model: ModelFile,
    data: Annotated[Path, typer.Option(help="Samples to train with: .csv, .npy or .npz.")],
    out: Annotated[Path, typer.Option(help="The ONNX file to write.")],
    labels: Annotated[Path | None, typer.Option(help="True labels, one per sample.")] = None,
    steps: Annotated[int, typer.Option(min=0, help="Steps of training.")] = 3000,
    as_json: JsonFlag = False,
) -> None:
    """Fine-tune a small network with squares for activations, so that it is tested exactly; needs PyTorch."""
    lowered = read_model(model)
    samples = read_samples(data, lowered.graph.features, lowered.columns)
    truth = None if labels is None else read_labels(labels, len(samples))
    with progress_bar("training") as update:
        adapted = adapt_model(lowered, samples, truth, steps=steps, progress=update)
    write_file(out, adapted.onnx)
    print_figures({"model": str(out), **adapted.figures}, as_json)
