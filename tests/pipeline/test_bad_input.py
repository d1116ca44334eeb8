"""Bad input: each a clear reason, nothing lost silently, the rest of the plate goes on."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tifffile

from phenoprint.errors import ConfigError, DataError, PlateMapError, ScreenError
from phenoprint.pipeline import RunResult, SimulatedScreen, run_screen
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.steps.base import Outcome, Unit
from phenoprint.store import check_balance

# well -> what is done to it and what must be said of it
FAULTS = {
    "A01": "truncated",
    "A02": "empty",
    "A03": "directory",
    "A04": "shape",
    "A05": "depth",
    "A06": "missing channel",
    "B01": "black",
    "B02": "saturated",
    "B03": "no cell",
    "B04": "not a TIFF",
    "B05": "one cell",
    "B06": "page directories that form a cycle",
    "C01": "a tag of another type",
}
UNREADABLE = ["A01", "A02", "A03", "A04", "A05", "A06", "B04", "B06", "C01"]


def _break(images: Path) -> None:
    def path(well: str, channel: str = "DNA") -> Path:
        return images / f"{well}_s1_{channel}.tif"

    data = path("A01").read_bytes()
    path("A01").write_bytes(data[: len(data) // 2])
    path("A02").write_bytes(b"")
    path("A03").unlink()
    path("A03").mkdir()
    tifffile.imwrite(path("A04", "ER"), np.full((50, 60), 900, np.uint16))
    tifffile.imwrite(path("A05", "RNA"), np.full((160, 160), 90, np.uint8))
    path("A06", "Mito").unlink()
    for channel in ("DNA", "ER", "RNA", "AGP", "Mito"):
        tifffile.imwrite(path("B01", channel), np.zeros((160, 160), np.uint16))
        tifffile.imwrite(path("B02", channel), np.full((160, 160), 65535, np.uint16))
    # What the camera sees where no cell lies: the plate's own background, vignette included, and noise.
    background = np.percentile(
        [tifffile.imread(path(f"{row}{col:02d}")) for row in "CD" for col in range(1, 7)], 5, axis=0
    )
    noise = np.random.default_rng(0).normal(0, 15, background.shape)
    tifffile.imwrite(path("B03"), (background + noise).clip(0, 65535).astype(np.uint16))
    path("B04").write_text("not an image")
    with tifffile.TiffFile(path("B06")) as file:
        start = file.pages.first.offset
    with tifffile.TiffFile(path("C01")) as file:
        counts = file.pages.first.tags["StripByteCounts"].offset
    data = bytearray(path("B06").read_bytes())
    (n_tags,) = struct.unpack_from("<H", data, start)
    struct.pack_into("<I", data, start + 2 + 12 * n_tags, start)
    path("B06").write_bytes(data)
    data = bytearray(path("C01").read_bytes())
    struct.pack_into("<H", data, counts + 2, 12)
    path("C01").write_bytes(data)
    y, x = np.ogrid[:160, :160]
    cell = 12000 * np.exp(-((y - 80) ** 2 + (x - 80) ** 2) / (2 * 9.0**2))
    tifffile.imwrite(path("B05"), (background + noise + cell).clip(0, 65535).astype(np.uint16))


@pytest.fixture(scope="module")
def broken_run(tiny_images: SimulatedScreen, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """The tiny plate with ten wells broken in ten ways, run."""
    folder = tmp_path_factory.mktemp("broken") / "broken"
    shutil.copytree(tiny_images.folder, folder, ignore=shutil.ignore_patterns("truth"))
    _break(folder / "images" / "SIM-P01")
    return run_screen(folder / tiny_images.config.name, output=folder / "screen", workers=1)


def test_run_is_partial_and_every_step_continues_with_what_is_left(broken_run: RunResult) -> None:
    assert broken_run.is_partial
    assert broken_run.screen.status().failures.is_empty()


@pytest.mark.parametrize("well", UNREADABLE)
def test_unreadable_field_has_a_reason_in_the_ledger(broken_run: RunResult, well: str) -> None:
    lost = broken_run.screen.table("lost").collect()
    lost = lost.filter((pl.col("Metadata_Well") == well) & (pl.col("step") == "segment"))
    assert lost.height == 1, FAULTS[well]
    assert lost["n_lost"][0] == 1
    reason = lost["reason"][0]
    assert f"{well}_s1" in reason or "missing channel: Mito" in reason


def test_ledger_still_balances(broken_run: RunResult) -> None:
    check_balance(broken_run.screen.table("ledger").collect())


def test_no_well_disappears(broken_run: RunResult) -> None:
    profiles = broken_run.screen.table("profile_well").collect()
    assert profiles.height == 24
    counted = dict(profiles.select("Metadata_Well", "Metadata_Object_Count").iter_rows())
    assert all(counted[well] == 0 for well in FAULTS)
    good = [well for well in counted if well not in FAULTS]
    assert sum(counted[well] > 0 for well in good) >= len(good) - 3


def test_black_and_saturated_fields_are_flagged(broken_run: RunResult) -> None:
    flags = broken_run.screen.sql(
        "SELECT Metadata_Well, any_value(reasons) AS reasons FROM image_quality WHERE is_flagged GROUP BY ALL"
    )
    reasons = dict(flags.iter_rows())
    assert "B01" in reasons
    assert "B02" in reasons
    assert set(UNREADABLE) <= set(reasons)


def test_field_without_cells_has_its_reasons(broken_run: RunResult) -> None:
    rows = broken_run.screen.sql(
        "SELECT step, n_out, reason FROM ledger WHERE Metadata_Well = 'B03' AND unit_of_count = 'wells' ORDER BY step"
    )
    no_profile = "the well lacks more than half of the features"
    assert rows.rows() == [("aggregate", 0, "no cell found"), ("cross_fit", 0, no_profile)]


def test_field_with_one_cell_is_flagged_with_its_count(broken_run: RunResult) -> None:
    rows = broken_run.screen.sql("SELECT n_cells, is_flagged, reasons FROM image_quality WHERE Metadata_Well = 'B05'")
    assert rows["n_cells"].unique().to_list() == [1]
    assert rows["is_flagged"].all()
    assert "cell" in rows["reasons"][0]


def test_flagged_wells_are_listed_by_query(broken_run: RunResult) -> None:
    wells = broken_run.screen.sql("SELECT Metadata_Well FROM wells_flagged")["Metadata_Well"].to_list()
    assert set(FAULTS) <= set(wells)


def test_repaired_file_is_taken_up(broken_run: RunResult, tiny_images: SimulatedScreen) -> None:
    name = "A01_s1_DNA.tif"
    shutil.copy(tiny_images.images / "SIM-P01" / name, broken_run.screen.path.parent / "images" / "SIM-P01" / name)
    again = run_screen(
        broken_run.screen.path.parent / tiny_images.config.name, output=broken_run.screen.path, workers=1
    )
    assert again.screen.sql("SELECT count(*) AS n FROM cell WHERE Metadata_Well = 'A01'")["n"][0] > 0
    lost = again.screen.sql("SELECT * FROM lost WHERE Metadata_Well = 'A01' AND step = 'segment'")
    assert lost.is_empty()


@pytest.mark.parametrize(
    ("plate_map", "message"),
    [
        ("well,compound\nA01,x\na1,y\n", "A01"),
        ("well,compound\nA01,x\nZ99,y\n", "Z99"),
        ("well,compound,concentration\nA01,x,much\n", "much"),
        ("compound,dose\nx,1\n", "well"),
    ],
)
def test_wrong_plate_maps_stop_the_run_with_their_line(
    own_images: Callable[[], Path], tmp_path: Path, plate_map: str, message: str
) -> None:
    config = own_images()
    (config.parent / "platemap.csv").write_text(plate_map)
    with pytest.raises(PlateMapError, match=message):
        run_screen(config, output=tmp_path / "s", workers=1)


def test_odd_but_sound_plate_map_is_understood(own_images: Callable[[], Path], tmp_path: Path) -> None:
    config = own_images()
    images = config.parent / "images"
    (images / "SIM-P01").rename(images / "000123")
    config.write_text(config.read_text().replace('"SIM-P01"', '"000123"') + '\n[illumination]\nmethod = "none"\n')
    lines = ["plate;well;pert_type;compound;concentration;unit"]
    lines += [f"000123;{'abcd'[row]}{column};negcon;α-tocopherol Ω;;" for row in range(4) for column in range(1, 7)]
    lines[1] = "000123;A01;trt;naïve <b>drug</b>;1,5;uM"
    (config.parent / "platemap.csv").write_text("\n".join(lines).replace("1,5", "1.5"), encoding="utf-8-sig")
    result = run_screen(config, output=tmp_path / "s", workers=1)
    wells = result.screen.sql("SELECT DISTINCT Metadata_Plate, Metadata_compound FROM well ORDER BY ALL")
    assert wells["Metadata_Plate"].unique().to_list() == ["000123"]
    assert set(wells["Metadata_compound"]) == {"α-tocopherol Ω", "naïve <b>drug</b>"}


def test_disagreement_of_files_and_map_is_a_table(own_images: Callable[[], Path], tmp_path: Path) -> None:
    config = own_images()
    plate_map = config.parent / "platemap.csv"
    lines = plate_map.read_text().splitlines()
    plate_map.write_text("\n".join(line for line in lines if ",A02," not in line))
    for path in (config.parent / "images" / "SIM-P01").glob("C03_*"):
        path.unlink()
    config.write_text(config.read_text() + '\n[illumination]\nmethod = "none"\n')
    result = run_screen(config, output=tmp_path / "s", workers=1)
    problems = result.screen.table("problem").collect()
    by_well = dict(problems.drop_nulls("Metadata_Well").select("Metadata_Well", "kind").iter_rows())
    assert {"A02", "C03"} <= set(by_well)
    assert by_well["A02"] != by_well["C03"]
    flagged = result.screen.sql("SELECT Metadata_Well FROM wells_flagged")["Metadata_Well"].to_list()
    assert {"A02", "C03"} <= set(flagged)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    config = tmp_path / "c.toml"
    config.write_text('[screen]\nname = "none"\n[images]\nroot = "images"\n')
    with pytest.raises(DataError):
        run_screen(config, output=tmp_path / "s", workers=1)


def test_missing_image_folder_is_named(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[screen]\nname = "none"\n[images]\nroot = "no_folder"\n')
    with pytest.raises(ConfigError, match="no_folder"):
        run_screen(config, output=tmp_path / "s", workers=1)


def test_file_in_the_way_of_the_screen_is_named(own_images: Callable[[], Path], tmp_path: Path) -> None:
    target = tmp_path / "taken"
    target.write_text("a file")
    with pytest.raises((ScreenError, ConfigError), match="taken"):
        run_screen(own_images(), output=target, workers=1)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere; Windows has other rights")
def test_unwritable_folder_is_named(own_images: Callable[[], Path], tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    with pytest.raises(ScreenError, match="locked"):
        run_screen(own_images(), output=locked / "s", workers=1)


def test_full_disk_fails_units_with_advice_and_a_later_run_continues(
    own_images: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from phenoprint.store import parts

    config = own_images()
    config.write_text(config.read_text() + '\n[illumination]\nmethod = "none"\n')
    written = 0
    original = parts.write_part

    def fill_up(*arguments: object, **options: object) -> object:
        nonlocal written
        written += 1
        if written > 10:
            raise ScreenError(f"no room to write: {os.strerror(errno.ENOSPC)}")
        return original(*arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(parts, "write_part", fill_up)
        result = run_screen(config, output=tmp_path / "s", workers=1)
    assert result.is_partial
    assert result.summary.steps["quality"].failed == 14
    failures = result.screen.status().failures
    assert failures["message"].str.contains("no room").any()
    healed = run_screen(config, output=tmp_path / "s", workers=1)
    assert not healed.is_partial
    assert healed.summary.steps["quality"].done == 14
    assert pl.DataFrame(healed.screen.status().failures).is_empty()


def test_well_that_cannot_be_measured_costs_the_plate_nothing(
    own_images: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phenoprint.pipeline.steps.measurement import Measure

    config = own_images()
    original = Measure.run

    def fail(self: Measure, unit: Unit, context: Context) -> Outcome:
        if unit.well == "B02":
            raise MemoryError("too large")
        return original(self, unit, context)

    with monkeypatch.context() as patch:
        patch.setattr(Measure, "run", fail)
        result = run_screen(config, output=tmp_path / "s", workers=1)
    assert result.is_partial
    assert result.summary.steps["aggregate"].done == 1
    ledger = result.screen.sql("SELECT step, reason FROM lost WHERE Metadata_Well = 'B02' AND unit_of_count = 'wells'")
    reasons = dict(ledger.iter_rows())
    assert reasons["aggregate"] == "measurement failed, see status"
    assert reasons["measure"].startswith("failed: too large")
    healed = run_screen(config, output=tmp_path / "s", workers=1)
    assert not healed.is_partial


def test_channels_and_files_that_are_not_used_are_reported(own_images: Callable[[], Path], tmp_path: Path) -> None:
    config = own_images()
    text = config.read_text().replace(
        'pattern = "generic"', 'pattern = "generic"\nchannels = { DNA = "DNA", AGP = "AGP" }'
    )
    config.write_text(text)
    (config.parent / "images" / "holiday.tif").write_bytes(b"x")
    result = run_screen(config, output=tmp_path / "s", workers=1)
    lost = result.screen.sql(
        "SELECT reason, sum(n_lost) AS n FROM lost WHERE step = 'ingest' GROUP BY ALL ORDER BY ALL"
    )
    assert lost.rows() == [(f"channel {name} is not named in images.channels", 24) for name in ("ER", "Mito", "RNA")]
    problems = result.screen.table("problem").collect()
    foreign = problems.filter(pl.col("kind") == "unmatched_files")
    assert "holiday.tif" in foreign["detail"][0]


def test_renamed_plate_leaves_no_rows_behind(own_images: Callable[[], Path], tmp_path: Path) -> None:
    config = own_images()
    config.write_text(config.read_text() + '\n[illumination]\nmethod = "none"\n')
    run_screen(config, output=tmp_path / "s", workers=1)
    (config.parent / "images" / "SIM-P01").rename(config.parent / "images" / "P2")
    with pytest.raises(PlateMapError, match="are of plate P2 with wells A01 to D06; the map names plate SIM-P01"):
        run_screen(config, output=tmp_path / "s", workers=1)
    plate_map = config.parent / "platemap.csv"
    plate_map.write_text(plate_map.read_text().replace("SIM-P01", "P2"))
    result = run_screen(config, output=tmp_path / "s", workers=1)
    for table in ("image", "object", "cell", "profile_well", "profile_selected"):
        plates = result.screen.table(table).select("Metadata_Plate").unique().collect()["Metadata_Plate"].to_list()
        assert plates == ["P2"], table


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ('[segmentation]\nparameters = { thresold = "otsu" }', "did you mean 'threshold'"),
        ('[segmentation]\nsegmenter = "clasical"', "did you mean 'classical'"),
        ('[profiles]\nrecipe = "phenoprnt"', "did you mean 'phenoprint'"),
        ('[profiles]\nstatistic = "medain"', "did you mean 'median'"),
        (
            '[[profiles.recipe]]\noperation = "select"\noperations = ["drop_na_colums"]',
            "did you mean 'drop_na_columns'",
        ),
        ('[profiles]\nreadouts = { area = "Nuclei_AreaShape_Arae * 2" }', "did you mean 'Nuclei_AreaShape_Area'"),
        ('[profiles]\nreadouts = { area = "Nuclei_AreaShape_Area *" }', "not an expression"),
        ('[doses]\nfeatures = ["Nuclei_AreaShape_Arae"]', "did you mean 'Nuclei_AreaShape_Area'"),
    ],
)
def test_misspelt_names_stop_the_run_before_pixels_are_read(
    own_images: Callable[[], Path], tmp_path: Path, section: str, message: str
) -> None:
    config = own_images()
    config.write_text(config.read_text() + "\n" + section + "\n")
    with pytest.raises(ConfigError, match=message):
        run_screen(config, output=tmp_path / "s", workers=1)
    assert not (tmp_path / "s" / "tables").exists()


def test_channels_without_nuclei_are_asked_for(own_images: Callable[[], Path], tmp_path: Path) -> None:
    config = own_images()
    text = config.read_text().replace(
        'pattern = "generic"', 'pattern = "generic"\nchannels = { ER = "ER", AGP = "AGP" }'
    )
    config.write_text(text)
    with pytest.raises(ConfigError, match="nuclear stain"):
        run_screen(config, output=tmp_path / "s", workers=1)


def test_plate_without_any_control_runs_against_all_wells(own_images: Callable[[], Path], tmp_path: Path) -> None:
    config = own_images()
    text = config.read_text().replace('files = ["platemap.csv"]', "files = []")
    config.write_text(text + '\n[profiles]\nreference = "all"\n')
    result = run_screen(config, output=tmp_path / "s", workers=1)
    assert not result.is_partial, result.screen.status().failures.to_dicts()
    assert result.screen.table("profile_selected").collect().height == 24
