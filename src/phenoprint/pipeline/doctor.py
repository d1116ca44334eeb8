"""Examine a computer: versions, cores, memory, GPU, browser, folders, kernels, and whether Phenoprint can work."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from phenoprint.errors import PhenoprintError
from phenoprint.pipeline.datasets import phenoprint_home
from phenoprint.pipeline.executors import available_cores
from phenoprint.store import cache_folder, create
from phenoprint.version import __version__

__all__ = ["Finding", "examine"]

_GIB = 2**30
_LITTLE_MEMORY, _LITTLE_ROOM = 2 * _GIB, 1 * _GIB
_NOT_EXTRAS = ("all", "benchmark", "test")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
_MOUNTS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was examined.

    Parameters
    ----------
    topic
        What it belongs to: software, extras, computer, folders or checks.
    name
        What was examined.
    value
        What was found.
    state
        ``"ok"``; ``"warning"``: something works less well, or not at all without what is missing; ``"error"``:
        Phenoprint cannot work.
    advice
        What to do about it; None where there is nothing to do.
    """

    topic: str
    name: str
    value: str
    state: Literal["ok", "warning", "error"] = "ok"
    advice: str | None = None


def examine() -> list[Finding]:
    """Examine the installation and the computer; takes a second or two.

    Torch is imported only where it is installed and the driver of a GPU is present.

    Examples
    --------
    >>> next(finding.value for finding in examine() if finding.name == "Python").startswith("3.")
    True
    """
    return [*_software(), *_computer(), *_folders(), _kernels(), _store()]


def _software() -> Iterator[Finding]:
    yield Finding("software", "phenoprint", __version__)
    yield Finding("software", "Python", f"{platform.python_version()} on {platform.platform()}")
    try:
        requirements = metadata.requires("phenoprint") or []
    except metadata.PackageNotFoundError:
        yield Finding("software", "dependencies", "unknown", "warning", "install Phenoprint with pip")
        return
    from packaging.requirements import Requirement

    needs = sorted(map(Requirement, requirements), key=lambda need: need.name.lower())
    optional = [need for need in needs if need.marker is not None and not need.marker.evaluate({"extra": ""})]
    for need in needs:
        if need not in optional:
            yield _dependency(need.name, str(need.specifier))
    for extra in metadata.metadata("phenoprint").get_all("Provides-Extra") or []:
        for need in optional if extra not in _NOT_EXTRAS else ():
            if need.marker is not None and need.marker.evaluate({"extra": extra}):
                yield _dependency(need.name, str(need.specifier), extra=extra)


def _dependency(name: str, allowed: str, *, extra: str | None = None) -> Finding:
    """Compare the installed version of a package with the versions that Phenoprint needs."""
    from packaging.specifiers import SpecifierSet

    topic = "software" if extra is None else "extras"
    install = f"pip install 'phenoprint{f'[{extra}]' if extra else ''}'"
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        if extra is not None:
            return Finding(topic, name, f"not installed (optional, for [{extra}])")
        return Finding(topic, name, "not installed", "error", install)
    if found in SpecifierSet(allowed, prereleases=True):
        return Finding(topic, name, found)
    state: Literal["warning", "error"] = "error" if extra is None else "warning"
    return Finding(topic, name, f"{found}, needs {allowed}", state, install)


def _computer() -> Iterator[Finding]:
    import psutil

    cores, present = available_cores(), os.cpu_count() or 1
    yield Finding("computer", "cores", f"{cores} of {present} may be used")
    memory = psutil.virtual_memory()
    limit = _memory_limit()
    free = memory.available if limit is None else min(memory.available, limit)
    of = f"{memory.available / _GIB:.1f} of {memory.total / _GIB:.1f} GiB available"
    capped = "" if limit is None else f", limited to {limit / _GIB:.1f} GiB by the control group"
    advice = "close other programs, or run with --workers 1"
    yield Finding("computer", "memory", of + capped, *(("warning", advice) if free < _LITTLE_MEMORY else ()))
    yield _gpu()
    yield _browser()


def _memory_limit() -> int | None:
    """Return the memory in bytes that the control group of this process allows (Linux, containers, SLURM)."""
    try:
        own = [line.split(":", 2)[2] for line in Path("/proc/self/cgroup").read_text("utf-8").splitlines()]
    except OSError:
        return None
    found = []
    for path in ("", *own):
        for name in ("memory.max", "memory/memory.limit_in_bytes"):
            try:
                text = (_MOUNTS / path.strip("/") / name).read_text("utf-8").strip()
            except OSError:
                continue
            found += [int(text)] if text.isdigit() and int(text) < 2**60 else []
    return min(found, default=None)


def _gpu() -> Finding:
    command = shutil.which("nvidia-smi")
    has_torch = importlib.util.find_spec("torch") is not None
    if command is None:
        return Finding("computer", "GPU", "none found; everything runs on the CPU")
    query = [command, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("computer", "GPU", f"nvidia-smi failed: {error}", "warning", "check the NVIDIA driver")
    value = "; ".join(line.strip() for line in done.stdout.splitlines() if line.strip()) or "none listed"
    if not has_torch:
        return Finding("computer", "GPU", f"{value}; torch is not installed (optional, for [deep])")
    torch = importlib.import_module("torch")
    if torch.cuda.is_available():
        return Finding("computer", "GPU", f"{value}; torch {torch.__version__} uses it")
    advice = "install a build of torch for CUDA that fits the driver"
    return Finding("computer", "GPU", f"{value}; torch {torch.__version__} cannot use it", "warning", advice)


def _browser() -> Finding:
    """Find the browser that kaleido needs to write figures as images."""
    chosen = os.environ.get("BROWSER_PATH")
    found = chosen or next(filter(None, map(shutil.which, _BROWSERS)), None)
    if chosen and not os.access(chosen, os.X_OK):
        advice = "set BROWSER_PATH to the program of Chromium or Chrome"
        return Finding("computer", "Chromium", f"BROWSER_PATH is {chosen}, no program", "warning", advice)
    has_kaleido = importlib.util.find_spec("kaleido") is not None
    if has_kaleido and found is None:
        advice = "install Chromium or Chrome, or set BROWSER_PATH to it"
        return Finding("computer", "Chromium", "not found: figures cannot be saved as images", "warning", advice)
    kaleido = "" if has_kaleido else "; kaleido is not installed (optional, for [export])"
    return Finding("computer", "Chromium", f"{found or 'not found'}{kaleido}")


def _folders() -> Iterator[Finding]:
    """Try to write where Phenoprint does."""
    yield _folder("fetched data", phenoprint_home(), "warning", "set PHENOPRINT_HOME to a folder on a larger disk")
    yield _folder("cache", cache_folder(), "warning", "read-only screens are then queried more slowly")
    yield _folder("temporary files", Path(tempfile.gettempdir()), "error", "set TMPDIR to a folder that can be written")
    yield _folder("current folder", Path.cwd(), "warning", "give --output, or change to a folder that can be written")


def _folder(name: str, folder: Path, bad: Literal["warning", "error"], advice: str) -> Finding:
    there = next(path for path in (folder, *folder.parents) if path.is_dir())
    try:
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        return Finding("folders", name, f"{folder} cannot be written ({error.strerror or error})", bad, advice)
    value = f"{folder}, {free / _GIB:.1f} GiB free"
    return Finding("folders", name, value, *(("warning", "free some space") if free < _LITTLE_ROOM else ()))


def _kernels() -> Finding:
    """Find where compiled kernels are kept; nothing of the package is compiled."""
    import numba

    def probe() -> None:
        """Serve as a function whose machine code would be kept."""

    try:
        compiled = numba.njit(cache=True)(probe)
    except RuntimeError as error:
        advice = "set NUMBA_CACHE_DIR to a folder that can be written"
        return Finding("checks", "kernels", f"cannot be kept on disk: {error}", "error", advice)
    if not hasattr(compiled, "stats"):
        value = "NUMBA_DISABLE_JIT is set: nothing is compiled, which is hundreds of times slower"
        return Finding("checks", "kernels", value, "warning", "unset NUMBA_DISABLE_JIT")
    own = Path(compiled.stats.cache_path)
    is_in_tree = own.name == "__pycache__"
    pattern = "*/__pycache__/*.nbi" if is_in_tree else "*/*kernels*.nbi"
    folder = own.parent.parent if is_in_tree else own.parent
    n_kept = len(list(folder.glob(pattern)))
    kept = f"{n_kept} kept" if n_kept else "none compiled yet; the first run does so once, in about a minute"
    return Finding("checks", "kernels", f"{kept} ({folder})")


def _store() -> Finding:
    """Write a screen with one table, build its catalog and query it."""
    import polars as pl

    version = metadata.version("duckdb")
    try:
        with tempfile.TemporaryDirectory(prefix="phenoprint-doctor-", ignore_cleanup_errors=True) as folder:
            screen = create(Path(folder) / "screen")
            screen.write("plate", pl.DataFrame({"Metadata_Plate": ["000123"]}))
            screen.rebuild_catalog()
            plates = screen.sql("SELECT Metadata_Plate FROM plate")["Metadata_Plate"].to_list()
    except (PhenoprintError, OSError) as error:
        return Finding("checks", "store", f"DuckDB {version}: {error}", "error", "see the message")
    if plates != ["000123"]:
        advice = "install the versions in constraints.txt"
        return Finding("checks", "store", f"DuckDB {version} gives {plates}, expected ['000123']", "error", advice)
    return Finding("checks", "store", f"DuckDB {version} writes and reads a screen; catalogs in the format of 1.0")
