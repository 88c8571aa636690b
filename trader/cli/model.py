"""`modelseal model`: what a seller does with a model before anyone sees it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trader.cli.options import PackageFolder  # noqa: TC001 - typer reads the annotations
from trader.cli.output import JsonFlag, messages, print_figures, print_json_line, print_rows, progress_bar, warn
from trader.cli.package_report import fidelity_figures
from trader.cli.plan_report import (
    alternative_rows,
    can_list_alternatives,
    layout_rows,
    plan_figures,
    quota_figures,
    weak_flooding,
)
from trader.cli.trial_report import (
    accuracies,
    assess_trial,
    assessment_figures,
    exact_outputs,
    range_warning,
    refusal,
    trial_figures,
)
from trader.errors import CallerError
from trader.files import write_file
from trader.he import forecast, parse_plan
from trader.model import parse_manifest, read_labels, read_samples
from trader.package import PUBLIC, PublicPackage, open_circuit, read_canonical, read_package_srs
from trader.rehearsal.proving import prove_and_verify
from trader.rehearsal.trial import run_trial
from trader.verify import outside_reach
from trader.verify.detection import detection_probability

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trader.he import HePlan
    from trader.model import CanonicalModel, Manifest

DataFile = Annotated[Path, typer.Option(help="Samples, one per row: .csv, .npy or .npz.")]


@dataclass(frozen=True, slots=True)
class _Opened:
    """A seller's package, as far as trying a model needs it: no password."""

    public: PublicPackage
    manifest: Manifest
    canonical: CanonicalModel

    @classmethod
    def read(cls, folder: Path) -> _Opened:
        public, canonical = PublicPackage.read(folder / PUBLIC), read_canonical(folder)
        return cls(public, parse_manifest(public.manifest), canonical)

    @property
    def plan(self) -> HePlan:
        return parse_plan(self.manifest.plan)

    def read_inputs(self, file: Path) -> NDArray[np.int64]:
        """Return the samples of a file, quantised: [n, F]."""
        graph = self.canonical.graph
        return self.manifest.quantise(read_samples(file, graph.features, self.manifest.input.columns), graph)


def try_command(
    folder: PackageFolder,
    data: DataFile,
    labels: Annotated[Path | None, typer.Option(help="True labels, one per sample.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write predictions to this .csv file.")] = None,
    device: Annotated[str, typer.Option(help="Where to evaluate: cpu, or a device of PyTorch's, e.g. cuda.")] = "cpu",
    as_json: JsonFlag = False,
) -> None:
    """Test the model on encrypted data, both roles on this machine, and report."""
    opened = _Opened.read(folder)
    inputs = opened.read_inputs(data)
    truth = None if labels is None else read_labels(labels, len(inputs))
    with progress_bar("encrypted test") as update:
        trial = run_trial(opened.plan, opened.canonical, inputs, lambda _phase: update, device)
    exact = exact_outputs(opened.canonical, inputs)
    assessment = assess_trial(opened.manifest, trial.outputs, truth)
    if reason := refusal(assessment):
        warn(reason)
    outside = outside_reach(opened.manifest, inputs, trial.outputs)
    if caution := range_warning(outside, len(inputs)):
        warn(caution)
    report = trial_figures(trial, exact, opened.manifest) | {"samples_outside": len(outside)}
    report |= fidelity_figures(opened.manifest) | assessment_figures(assessment)
    if truth is not None:
        report |= accuracies(opened.manifest, trial.outputs, exact, truth)
    if out is not None:
        predictions = opened.manifest.output.post_processing.predict(trial.outputs)
        rows = predictions.reshape(len(predictions), -1).tolist()
        write_file(out, "".join(f"{','.join(map(str, row))}\n" for row in rows).encode())
        report["predictions"] = str(out)
    print_figures(report, as_json)


def prove_command(folder: PackageFolder, data: DataFile, as_json: JsonFlag = False) -> None:
    """Prove the model's answers on the first samples of a file; verify off the chain and in the verifier contract."""
    opened = _Opened.read(folder)
    inputs = opened.read_inputs(data)
    wanted = opened.manifest.circuit.audit_samples
    if len(inputs) < wanted:
        raise CallerError(f"{data} has {len(inputs)} samples; an audit takes {wanted}. Give a longer file.")
    with messages.status("proving"):
        srs = read_package_srs(folder / PUBLIC)
        circuit = open_circuit(opened.public, srs)
        report = prove_and_verify(circuit, srs, opened.canonical, inputs[:wanted])
    report["detection_probability"] = detection_probability(wanted)
    print_figures(report, as_json)


def plan_command(
    folder: PackageFolder,
    samples: Annotated[int, typer.Option(min=1, help="Samples in the encrypted test.")],
    calibration: Annotated[
        Path | None, typer.Option(help="The samples that the model was prepared with; the alternatives depend on them.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the encryption plan, what a test would cost on this machine, and the alternatives that were rejected."""
    opened = _Opened.read(folder)
    manifest, canonical, plan = opened.manifest, opened.canonical, opened.plan
    cost = asdict(forecast(plan, canonical.graph, samples)) | fidelity_figures(manifest)
    cost["expected_error"] = manifest.output.post_processing.in_output_units(cost["expected_error"])
    quotas = quota_figures(manifest, plan, canonical)
    layouts = layout_rows(plan, canonical, samples)
    alternatives: list[dict[str, Any]] = []
    if can_list_alternatives(plan, calibration):
        alternatives = alternative_rows(plan, canonical, manifest, calibration)
    else:
        warn("give --calibration to see the alternatives: activations are fitted to data")
    if as_json:
        report = {"samples": samples, "plan": manifest.plan, "forecast": cost, "quotas": quotas}
        print_json_line(report | {"layouts": layouts, "alternatives": alternatives})
        return
    chosen = plan.for_samples(samples)
    print_figures(plan_figures(chosen, manifest, samples) | quotas | cost, as_json=False)
    if caution := weak_flooding(chosen):
        warn(caution)
    print_rows(layouts)
    print_rows(alternatives)
