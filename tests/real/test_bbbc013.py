"""A whole real plate, BBBC013, through the command line: what the biology must show."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import phenoprint
from phenoprint.evaluation import z_prime
from phenoprint.pipeline import RunResult, run_screen
from phenoprint.pipeline.datasets import fetch_dataset
from phenoprint.store import check_balance

pytestmark = [pytest.mark.real, pytest.mark.slow]

RATIO = "nuclear_cytoplasmic_gfp"


@pytest.fixture(scope="module")
def plate(real_data: Path, project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """BBBC013, fetched from the mirror and run as in the README, with the lean feature preset."""
    home = tmp_path_factory.mktemp("home")
    text = (project_root / "workflows" / "screens" / "bbbc013.toml").read_text(encoding="utf-8")
    config = tmp_path_factory.mktemp("config") / "bbbc013.toml"
    config.write_text(text + '\n[features]\npreset = "minimal"\n', encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHENOPRINT_HOME", str(home))
        fetched = fetch_dataset("bbbc013", mirror=real_data)
        assert fetched.placed == 192
        return run_screen(config, output=tmp_path_factory.mktemp("screen") / "bbbc013", workers=2)


def ratios(plate: RunResult) -> dict[str, float]:
    table = plate.screen.table("readout").filter(pl.col("readout") == RATIO).collect()
    return dict(table.select("Metadata_Well", "value").iter_rows())


def wells(rows: str, *columns: int) -> list[str]:
    return [f"{row}{column:02d}" for row in rows for column in columns]


def test_every_well_arrives_with_its_cells(plate: RunResult) -> None:
    assert not plate.is_partial
    counts = plate.screen.sql("SELECT Metadata_Well, n_cells FROM well_summary")
    assert counts.height == 96
    assert 130 < counts["n_cells"].median() < 260
    assert counts["n_cells"].min() > 60
    check_balance(plate.screen.table("ledger").collect())


def test_controls_separate(plate: RunResult) -> None:
    value = ratios(plate)
    negative = np.array([value[well] for well in wells("ABCD", 1, 2)])
    positive = np.array([value[well] for well in wells("ABCD", 12)])
    assert z_prime(positive, negative) >= 0.85


def test_untreated_wells_look_untreated(plate: RunResult) -> None:
    value = ratios(plate)
    negative = np.array([value[well] for well in [*wells("ABCD", 1, 2), *wells("EFGH", 2)]])
    positive = np.array([value[well] for well in wells("ABCD", 12)])
    untreated = np.array([value[well] for well in wells("EFGH", 12)])
    span = positive.mean() - negative.mean()
    assert np.all(np.abs(untreated - negative.mean()) < 0.15 * span)


@pytest.mark.parametrize(
    ("compound", "unit", "low", "high"), [("Wortmannin", "nM", 7, 11), ("LY294002", "uM", 2.8, 4.5)]
)
def test_half_effect_is_at_the_published_dose(
    plate: RunResult, compound: str, unit: str, low: float, high: float
) -> None:
    curves = plate.screen.table("dose_response").collect()
    row = curves.filter(pl.col("Metadata_compound") == compound, pl.col("readout") == RATIO).row(0, named=True)
    assert row["Metadata_Concentration_Unit"] == unit
    assert low < row["ec50"] < high
    assert low < row["ec50_low"] < row["ec50"] < row["ec50_high"] < high
    assert (row["n_wells"], row["n_doses"], row["n_controls"], row["status"]) == (36, 9, 12, "ok")
    assert row["r2"] > 0.95
    assert row["hit_call"] > 0.99


def test_phenotype_comes_without_cytotoxicity(plate: RunResult) -> None:
    summary = plate.screen.table("dose_summary").collect()
    assert summary["status"].to_list() == ["not_cytotoxic", "not_cytotoxic"]
    assert summary["count_status"].to_list() == ["no_response", "no_response"]
    assert (summary["window"] > 10).all()
    curves = plate.screen.table("dose_response").collect()
    assert set(curves["kind"]) == {"distance", "feature_group", "count", "readout"}
    # A group that responds has its EC50 near that of the assay's own readout.
    groups = curves.filter(pl.col("kind") == "feature_group", pl.col("hit_call") > 0.99, pl.col("status") == "ok")
    usual = groups.group_by("Metadata_compound").agg(pl.col("ec50").median()).sort("Metadata_compound")
    assert 2 < usual["ec50"][0] < 15
    assert 4 < usual["ec50"][1] < 40


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the kernel's own dependencies
def test_notebook_on_doses_runs(plate: RunResult, project_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PHENOPRINT_DOSES", str(plate.screen.path))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    path = project_root / "notebooks" / "04_dose_response.ipynb"
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    )
    client.execute(env=dict(os.environ))
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("application/vnd.plotly.v1+json" in output.get("data", {}) for output in outputs) >= 5


def test_mean_ratio_rises_with_dose_in_plain_sql(plate: RunResult) -> None:
    by_dose = plate.screen.sql(
        """
        SELECT Metadata_Concentration AS dose,
               avg(Nuclei_Intensity_MeanIntensity_GFP / Cytoplasm_Intensity_MeanIntensity_GFP) AS ratio
        FROM cells_annotated
        WHERE Metadata_compound = 'Wortmannin' AND Metadata_pert_type = 'trt'
        GROUP BY ALL ORDER BY dose
        """
    )
    assert by_dose.height == 9
    ratio = by_dose["ratio"].to_numpy()
    assert ratio[-1] > 3 * ratio[0]
    assert np.corrcoef(np.arange(9), ratio)[0, 1] > 0.85


def test_conflicting_wells_are_on_no_curve(plate: RunResult) -> None:
    conflict = plate.screen.sql(
        "SELECT DISTINCT Metadata_pert_type, Metadata_Concentration FROM well WHERE Metadata_Well IN ('E01', 'H01')"
    )
    assert conflict.rows() == [("poscon", None)]


def test_plate_is_accepted_with_its_reasons(plate: RunResult) -> None:
    checks = plate.screen.table("plate_acceptance").collect()
    verdicts = dict(checks.select("criterion", "verdict").iter_rows())
    judged = checks.filter(pl.col("criterion").str.starts_with(f"z_prime:{RATIO}:")).sort("poscon")
    assert judged["poscon"].n_unique() == judged.height
    best = judged.filter("is_best").row(0, named=True)
    assert best["verdict"] == "pass"
    assert best["n_compared"] == judged.height
    assert judged.filter(~pl.col("is_best"))["verdict"].null_count() == judged.height - 1
    assert verdicts["negative_controls"] == "pass"


def test_python_reads_the_same_as_sql(plate: RunResult) -> None:
    screen = phenoprint.open(plate.screen.path)
    assert (
        screen.table("cell").select(pl.len()).collect().item() == screen.sql("SELECT count(*) AS n FROM cell")["n"][0]
    )


def test_receipts_carry_the_inputs(plate: RunResult) -> None:
    record = json.loads((plate.screen.path / "receipts" / "run.json").read_text())
    assert record["steps"]["segment"]["done"] == 96
