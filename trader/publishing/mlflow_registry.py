"""Bundles to an MLflow server: logged in a run, and registered as a version of a model.

The bundle is the logged model as it is: its own `MLmodel` says how MLflow loads it, and its signature holds there. What
is downloaded by `models:/…` has a file `registered_model_meta` of MLflow's beside it. Credentials are MLflow's own
environment variables.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trader.publishing.bundle import check_bundle
from trader.publishing.errors import PublishingError, RegistryError, missing_library

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow import MlflowClient

    from trader.publishing.provenance import Provenance

ARTIFACT = "model"


def mlflow_client(tracking_uri: str) -> MlflowClient:
    """Return a client of a tracking server and its registry.

    Raises:
        RegistryError: The address is of no kind that MLflow serves.
        EnvironmentFaultError: A library is missing.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise missing_library(error) from error
    try:
        return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    except ImportError as error:  # a database needs a library that servers have, and their clients do not
        raise missing_library(error) from error
    except MlflowException as error:
        raise RegistryError(f"MLflow refuses: {str(error).splitlines()[0][:300]}") from error


def export_mlflow(
    folder: Path, provenance: Provenance, *, tracking_uri: str, name: str, experiment: str = "modelseal"
) -> str:
    """Log a bundle and register it; return its address, `models:/name/version`.

    Args:
        folder: A bundle, signed or not.
        provenance: Where the model comes from: figures become metrics, facts become tags.
        tracking_uri: Of the server, which has the registry too.
        name: Of the registered model, made if it isn't there.
        experiment: To log in, made if it isn't there.

    Raises:
        PublishingError: The folder is no bundle, or the name none of a model.
        RegistryError: The server doesn't answer, or refuses.
        EnvironmentFaultError: A library is missing.
    """
    check_bundle(folder)
    if not name or any(char in name for char in "/:") or not name.isprintable():
        raise PublishingError(f"{name!r} is not the name of a registered model: no slash, no colon")
    client = mlflow_client(tracking_uri)
    from mlflow.exceptions import MlflowException

    try:
        return _export(client, folder, provenance, name, experiment)
    except MlflowException as error:
        raise RegistryError(f"MLflow refuses: {str(error).splitlines()[0][:300]}") from error


def _export(client: MlflowClient, folder: Path, provenance: Provenance, name: str, experiment: str) -> str:
    known = client.get_experiment_by_name(experiment)
    number = client.create_experiment(experiment) if known is None else known.experiment_id
    tags = {f"modelseal.{key}": value for key, value in provenance.facts.items()}
    run = client.create_run(number, tags=tags)
    run_id = run.info.run_id
    try:
        for metric in provenance.metrics:
            client.log_metric(run_id, f"{metric.basis}_{_key(metric.name)}", metric.value)
        client.log_artifacts(run_id, str(folder), ARTIFACT)
        _make_registered(client, name)
        version = client.create_model_version(name, f"{run.info.artifact_uri}/{ARTIFACT}", run_id, tags=tags)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id)
    return f"models:/{name}/{version.version}"


def _make_registered(client: MlflowClient, name: str) -> None:
    """Make a registered model, unless it is there."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _key(name: str) -> str:
    """Return a metric's name with what MLflow allows in names."""
    return "".join(char if char.isalnum() and char.isascii() else "_" for char in name) or "metric"
