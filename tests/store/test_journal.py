"""Imports that are interrupted leave a screen as it was."""

from pathlib import Path
from unittest.mock import Mock

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import SchemaError, ScreenError
from phenoprint.exchange import import_profiles, write_profiles
from phenoprint.store.journal import undo_killed_imports


def profiles(plate: str, n: int = 3) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "Metadata_Plate": [plate] * n,
            "Metadata_Well": [f"A{k + 1:02d}" for k in range(n)],
            "Metadata_compound": ["DMSO", *["taxol"] * (n - 1)],
            "Cells_A": np.arange(n, dtype=np.float32),
        }
    )


def snapshot(folder: Path) -> dict[str, bytes]:
    files = [p for name in ("tables", "receipts") for p in (folder / name).rglob("*") if p.is_file()]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


@pytest.mark.parametrize("where", ["write_wells", "write_records", "check_annotation"])
def test_an_import_interrupted_while_placing_is_undone(tmp_path, monkeypatch, where):
    screen = import_profiles(write_profiles(profiles("P1"), tmp_path / "P1.csv"), tmp_path / "screen").screen
    before = snapshot(screen.path)
    other = write_profiles(
        pl.concat([profiles("P1", 2), profiles("P2")]).with_columns(Cells_B=pl.lit(1.0)), tmp_path / "other.csv"
    )

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"phenoprint.exchange.importing.{where}", stop)
        with pytest.raises(KeyboardInterrupt):
            import_profiles(other, screen)
    assert snapshot(screen.path) == before
    assert not list(screen.path.glob(".import-*"))
    assert screen.sql("SELECT count(*) FROM profile_well").item() == 3
    import_profiles(other, screen)
    assert screen.sql("SELECT count(*), count(Cells_B) FROM profile_well").row(0) == (5, 5)


def test_an_import_killed_while_placing_is_undone_by_the_next(tmp_path, monkeypatch):
    screen = import_profiles(write_profiles(profiles("P1"), tmp_path / "P1.csv"), tmp_path / "screen").screen
    before = snapshot(screen.path)

    def fail(*args, **kwargs):
        raise OSError("no links here")

    with monkeypatch.context() as patch:
        # a process that is killed cleans nothing up; and a disk without links
        patch.setattr("phenoprint.store.journal._restore", Mock())
        patch.setattr("phenoprint.exchange.importing.write_records", fail)
        patch.setattr("phenoprint.store.journal.os.link", fail)
        with pytest.raises(OSError, match="no links here"):
            import_profiles(write_profiles(profiles("P2"), tmp_path / "P2.csv"), screen)
    assert snapshot(screen.path) != before
    assert len(list(screen.path.glob(".import-*"))) == 1
    with pytest.raises(SchemaError, match=r"no Metadata_Plate"):
        import_profiles(write_profiles(profiles("P3").drop("Metadata_Plate"), tmp_path / "P3.csv"), screen)
    assert snapshot(screen.path) == before
    assert not list(screen.path.glob(".import-*"))


def kill_while_placing(screen, source, monkeypatch):
    """Import as a process that is killed with its tables half in place."""

    def die(*_args, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("phenoprint.store.journal._restore", Mock())
        patch.setattr("phenoprint.exchange.importing.write_records", die)
        with pytest.raises(KeyboardInterrupt):
            import_profiles(source, screen)
    return next(screen.path.glob(".import-*"))


def test_a_process_killed_while_it_undoes_an_import_loses_nothing(tmp_path, monkeypatch):
    screen = import_profiles(write_profiles(profiles("P1"), tmp_path / "P1.csv"), tmp_path / "screen").screen
    before = snapshot(screen.path)
    kill_while_placing(screen, write_profiles(profiles("P1", 2), tmp_path / "again.csv"), monkeypatch)
    assert "an import was stopped" in screen.incomplete
    put_back = []

    def replace_one_and_die(source, target):
        if put_back:
            raise KeyboardInterrupt
        put_back.append(source.replace(target))

    with monkeypatch.context() as patch:
        patch.setattr("phenoprint.store.journal.replace", replace_one_and_die)
        with pytest.raises(KeyboardInterrupt):
            undo_killed_imports(screen.path)
    assert undo_killed_imports(screen.path)
    assert snapshot(screen.path) == before
    assert screen.incomplete is None


def test_a_damaged_journal_is_named_and_nothing_is_removed(tmp_path, monkeypatch):
    screen = import_profiles(write_profiles(profiles("P1"), tmp_path / "P1.csv"), tmp_path / "screen").screen
    left = kill_while_placing(screen, write_profiles(profiles("P2"), tmp_path / "P2.csv"), monkeypatch)
    next(path for path in (left / "before").rglob("*") if path.is_file()).unlink()
    there = snapshot(screen.path)
    for content in (None, b"", b"\xff"):
        if content is not None:
            (left / "placing").write_bytes(content)
        with pytest.raises(ScreenError, match="cannot be undone"):
            import_profiles(tmp_path / "P2.csv", screen)
        assert snapshot(screen.path) == there
