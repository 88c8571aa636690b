"""Python, packages, processor, memory: what every encrypted test and every proof runs on."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from trader.doctor.finding import Finding, bad, good, remark
from zk.ezkl.worker import physical_memory_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GIB = 1 << 30
LEAST_MEMORY_GIB, ENOUGH_MEMORY_GIB = 2, 8
"""A test of 784-64-10 and a proof of 2^16 rows take about 2 GiB each; large circuits take more (`model prepare`)."""
LEAST_DISK_GIB, ENOUGH_DISK_GIB = 1, 5
VECTOR_FEATURES = ("avx512f", "avx2", "neon", "asimd")
"""Instructions that the kernels gain most from, the widest first."""
CACHED_KERNEL = "\n@kernel\n"
REQUIREMENT_OF = "modelseal"


def examine_machine(folder: Path) -> Iterator[Finding]:
    """Look at the machine; `folder` is where somebody means to trade."""
    yield _python()
    yield _packages(requires(REQUIREMENT_OF) or [])
    yield _processor()
    yield _kernels()
    yield _memory(physical_memory_bytes())
    yield _disk(sorted({folder, Path(tempfile.gettempdir())}))


def _python() -> Finding:
    text = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if platform.system() != "Linux":
        return remark("python", text, "Only Linux is tried; please report what fails.")
    return good("python", text)


def _packages(stated: Sequence[str]) -> Finding:
    """Compare what is installed with what this version was tested with, optional parts left out."""
    wrong, looked_at = [], 0
    for requirement in map(Requirement, stated):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        looked_at += 1
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} {found}, wanted {requirement.specifier}")
    if wrong:
        return bad("packages", "; ".join(wrong), "Install into a fresh environment: `pip install modelseal`.")
    return good("packages", f"modelseal {version(REQUIREMENT_OF)}, {looked_at} packages within its bounds")


def _processor() -> Finding:
    from llvmlite import binding

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    features = binding.get_host_cpu_features()
    vector = next((name for name in VECTOR_FEATURES if features.get(name)), None)
    text = f"{cores} cores, {vector or 'no wide vector instructions'}"
    if vector is None:
        return remark("processor", text, "Encrypted tests will be several times slower; use another machine.")
    return good("processor", text)


def _kernels() -> Finding:
    """Look for compiled kernels, wherever Numba keeps them."""
    from numba.core.registry import CPUDispatcher

    from trader.he.ring.compiling import is_compiled

    he = Path(str(import_module("trader.he").__file__)).parent
    sources = [path for path in he.rglob("*.py") if CACHED_KERNEL in path.read_text()]
    compiled = 0
    for source in sources:
        name = ".".join(["trader.he", *source.relative_to(he).with_suffix("").parts])
        found = [value for value in vars(import_module(name)).values() if isinstance(value, CPUDispatcher)]
        kernels = [kernel for kernel in found if kernel.__module__ == name and kernel.stats.cache_path is not None]
        compiled += any(map(is_compiled, kernels))
    text = f"compiled for {compiled} of {len(sources)} modules"
    if compiled < len(sources):
        return remark("kernels", text, "The first encrypted test waits a minute or two: run `modelseal compile`.")
    return good("kernels", text)


def _memory(total_bytes: int) -> Finding:
    text = f"{total_bytes / GIB:.1f} GiB of memory"
    if total_bytes < LEAST_MEMORY_GIB * GIB:
        return bad("memory", text, f"Small models alone work; use a machine with {ENOUGH_MEMORY_GIB} GiB.")
    if total_bytes < ENOUGH_MEMORY_GIB * GIB:
        return remark("memory", text, "Enough for small models; `modelseal model prepare` says what a proof takes.")
    return good("memory", text)


def _disk(folders: Sequence[Path]) -> Finding:
    free = {folder: shutil.disk_usage(_existing(folder)).free for folder in folders}
    scarcest = min(free, key=lambda folder: free[folder])
    text = ", ".join(f"{free[folder] / GIB:.1f} GiB free for {folder}" for folder in folders)
    step = f"Make room in {scarcest}, or name another folder: a full disk holds up a trade, whose deadlines don't wait."
    if free[scarcest] < LEAST_DISK_GIB * GIB:
        return bad("disk", text, step)
    return remark("disk", text, step) if free[scarcest] < ENOUGH_DISK_GIB * GIB else good("disk", text)


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
