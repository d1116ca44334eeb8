"""What ``phenoprint doctor`` examines, and what it finds wrong."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from phenoprint import __version__
from phenoprint.errors import ScreenError
from phenoprint.pipeline import Finding, doctor, examine


def found(name: str) -> Finding:
    """Examine everything and return one finding."""
    return next(finding for finding in examine() if finding.name == name)


def test_this_computer_can_work() -> None:
    findings = examine()
    assert [finding for finding in findings if finding.state == "error"] == []
    names = [finding.name for finding in findings]
    assert len(set(names)) == len(names)
    wanted = {"phenoprint", "Python", "duckdb", "torch", "cores", "memory", "GPU", "Chromium", "kernels", "store"}
    assert wanted | {"fetched data", "cache", "temporary files", "current folder"} <= set(names)
    assert found("phenoprint").value == __version__
    assert all(finding.advice for finding in findings if finding.state != "ok")


@pytest.mark.parametrize(
    ("name", "version", "state"),
    [("duckdb", "1.4.5", "error"), ("duckdb", "1.5.0", "ok"), ("duckdb", None, "error"), ("torch", "1.0", "warning")],
)
def test_versions_are_compared_with_what_is_needed(
    monkeypatch: pytest.MonkeyPatch, name: str, version: str | None, state: str
) -> None:
    real = metadata.version

    def fake(asked: str) -> str:
        if asked != name:
            return real(asked)
        if version is None:
            raise metadata.PackageNotFoundError(asked)
        return version

    monkeypatch.setattr(doctor.metadata, "version", fake)
    monkeypatch.setattr(doctor, "_store", lambda: Finding("checks", "store", ""))
    finding = found(name)
    assert finding.state == state
    assert state == "ok" or str(finding.advice).startswith("pip install 'phenoprint")


def test_an_extra_that_is_absent_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "version", absent)
    finding = doctor._dependency("torch", ">=2.6", extra="deep")
    assert (finding.state, finding.value) == ("ok", "not installed (optional, for [deep])")


def test_a_memory_limit_of_the_control_group_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_MOUNTS", tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    assert doctor._memory_limit() is None
    (tmp_path / "memory.max").write_text(f"{2**30}\n")
    finding = found("memory")
    assert "limited to 1.0 GiB by the control group" in finding.value
    assert (finding.state, finding.advice) == ("warning", "close other programs, or run with --workers 1")


def test_folders_that_cannot_be_written_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*, dir: Path) -> None:  # noqa: A002 - the name of tempfile's own parameter
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    states = {finding.name: finding.state for finding in doctor._folders()}
    expected = {"fetched data": "warning", "cache": "warning", "temporary files": "error", "current folder": "warning"}
    assert states == expected
    assert "Permission denied" in doctor._folder("cache", tmp_path, "warning", "do").value


def fake_gpu(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put an nvidia-smi of one line into the path."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script replaces nvidia-smi")
def test_a_gpu_is_reported_with_what_torch_makes_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu(tmp_path, monkeypatch, "echo 'NVIDIA H200, 143771 MiB, 570.1'")
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _: None)
    finding = doctor._gpu()
    assert finding.state == "ok"
    assert finding.value == "NVIDIA H200, 143771 MiB, 570.1; torch is not installed (optional, for [deep])"

    class Torch:
        __version__ = "2.13.0+cpu"

        class cuda:  # noqa: N801 - as torch names it
            is_available = staticmethod(lambda: False)

    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _: True)
    monkeypatch.setattr(doctor.importlib, "import_module", lambda _: Torch)
    assert (doctor._gpu().state, "cannot use it" in doctor._gpu().value) == ("warning", True)
    Torch.cuda.is_available = staticmethod(lambda: True)
    assert doctor._gpu().value.endswith("torch 2.13.0+cpu uses it")
    fake_gpu(tmp_path, monkeypatch, "exit 9")
    assert doctor._gpu().advice == "check the NVIDIA driver"


def test_torch_is_not_imported_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda _: None)
    monkeypatch.setattr(doctor.importlib, "import_module", lambda name: pytest.fail(f"{name} was imported"))
    assert doctor._gpu().state == "ok"


def test_the_browser_of_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda _: None)
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _: True)
    monkeypatch.delenv("BROWSER_PATH", raising=False)
    assert doctor._browser().state == "warning"
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "absent"))
    assert "no program" in doctor._browser().value
    monkeypatch.setenv("BROWSER_PATH", sys.executable)
    assert (doctor._browser().state, doctor._browser().value) == ("ok", sys.executable)


def test_kernels_that_cannot_be_kept_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    def refuse(**_: object) -> object:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(numba, "njit", refuse)
    finding = doctor._kernels()
    assert (finding.state, "NUMBA_CACHE_DIR" in str(finding.advice)) == ("error", True)
    monkeypatch.setattr(numba, "njit", lambda **_: lambda kernel: kernel)
    assert doctor._kernels().state == "warning"


def test_kept_kernels_are_counted_in_the_chosen_folder(tmp_path: Path) -> None:
    code = "from phenoprint.pipeline import doctor; print(doctor._kernels().value)"
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(Path(doctor.__file__).parents[2])}

    def ask() -> str:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        return done.stdout.strip()

    assert ask() == f"none compiled yet; the first run does so once, in about a minute ({tmp_path})"
    (tmp_path / "features_0a").mkdir()
    (tmp_path / "features_0a" / "_kernels_texture.haralick-3.py311.nbi").touch()
    assert ask() == f"1 kept ({tmp_path})"


def test_a_store_that_does_not_work_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> None:
        raise ScreenError(f"no room to write {folder}")

    monkeypatch.setattr(doctor, "create", refuse)
    finding = doctor._store()
    assert finding.state == "error"
    assert "no room to write" in finding.value
