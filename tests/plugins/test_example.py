"""A package with one plug-in of each kind, from screen.toml to SQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import phenoprint
from phenoprint.errors import ConfigError, DataError, PlateMapError, SchemaError
from phenoprint.pipeline import SimulatedScreen, parse_config, screen_state, verify_screen
from phenoprint.pipeline.ingest import index_images
from phenoprint.pipeline.plan import make_plan
from phenoprint.store import Screen, Scrutiny

from .conftest import install_example

WELLS = ["a1", "a2", "a3", "a6", "b5", "c2"]

CONFIG = """
[screen]
name = "plugged"

[images]
root = "{root}"
reader = "inventory"
plate = "SIM-P01"
options = {{ table = "inventory.csv", wells = {wells} }}
channels = {{ blue = "DNA", AGP = "AGP" }}

[plate_map]
files = ["{plate_map}"]
format = 24

[segmentation]
segmenter = "disks"
parameters = {{ channel = "DNA", reach_px = 5 }}

[features]
preset = "minimal"
families = [{{ family = "bright", level = 0.05 }}]

[profiles]
min_cells = 1

[[profiles.recipe]]
operation = "normalize"
method = "midrange"
factor = 2
"""


@pytest.fixture
def config(tiny_images: SimulatedScreen, tmp_path: Path) -> Path:
    """Two channels of some wells of the tiny plate, with a table that lists the files."""
    root = tmp_path / "images"
    root.mkdir()
    rows = []
    for source in sorted((tiny_images.folder / "images" / "SIM-P01").glob("*_s1_*.tif")):
        well, _, channel = source.stem.split("_")
        if channel in ("DNA", "AGP"):
            (root / source.name).symlink_to(source)
            rows.append((source.name, well[0].lower() + str(int(well[1:])), "1", channel.replace("DNA", "blue")))
    pl.DataFrame(rows, schema=["file", "well", "site", "stain"], orient="row").write_csv(root / "inventory.csv")
    path = tmp_path / "screen.toml"
    plate_map = tiny_images.folder / "platemap.csv"
    path.write_text(CONFIG.format(root=root.as_posix(), wells=json.dumps(WELLS), plate_map=plate_map.as_posix()))
    return path


@pytest.fixture
def screen(example: Path, config: Path, tmp_path: Path) -> Screen:
    """The screen after a run by the command line with two worker processes."""
    code = "import sys; from phenoprint.cli.app import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "run", str(config), "-o", str(tmp_path / "out"), "-j", "2", "--no-report"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return phenoprint.open(tmp_path / "out")


def test_a_screen_runs_with_one_plug_in_of_each_kind(
    screen: Screen, example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = screen.sql("SELECT Metadata_Well, Metadata_Channel FROM image ORDER BY ALL")
    assert images.rows() == [(f"{well[0].upper()}0{well[1]}", channel) for well in WELLS for channel in ("AGP", "DNA")]
    cells = screen.sql("SELECT Cells_Bright_Share_DNA AS share FROM cell")["share"]
    assert cells.is_between(0, 1).all()
    assert cells.n_unique() > 10
    assert screen.sql("SELECT count(*) FROM object").item() == len(cells)
    described = "SELECT family, measure, channel, unit, source, description FROM feature WHERE feature = "
    assert screen.sql(f"{described} 'Cells_Bright_Share_DNA'").row(0) == (
        "Bright", "Share", "DNA", "1", "phenoprint-example", "share of pixels brighter than a level"
    )  # fmt: skip
    controls = (
        "FROM profile_normalized JOIN well USING (Metadata_Plate, Metadata_Well) WHERE well.Metadata_pert_type = "
    )
    ends = screen.sql(f"SELECT min(Cells_Bright_Share_DNA), max(Cells_Bright_Share_DNA) {controls} 'negcon'")
    assert ends.row(0) == pytest.approx((-1.0, 1.0))

    def steps_to_run(text: str) -> set[str]:
        plan = make_plan(screen, parse_config(text), channels=["DNA", "AGP"], scrutiny=Scrutiny.TIME)
        return set(plan.to_run["step"])

    written = screen.config_text
    assert steps_to_run(written) == set()
    of_masks = steps_to_run(written.replace("reach_px = 5", "reach_px = 6"))
    of_features = steps_to_run(written.replace("level = 0.05", "level = 0.06"))
    of_profiles = steps_to_run(written.replace("factor = 2", "factor = 3"))
    assert of_masks - of_features == {"segment", "flag_images"}
    assert "measure" in of_features - of_profiles
    assert "recipe" in of_profiles
    assert not {"quality", "calibrate", "thumbnail"} & of_masks
    install_example(example.parent / "newer", version="1.1")
    monkeypatch.syspath_prepend(example.parent / "newer")
    assert steps_to_run(written) == of_masks
    monkeypatch.setattr(sys, "path", [path for path in sys.path if Path(path).parent != example.parent])
    with pytest.raises(ConfigError, match=r"the last run cannot be used:\n  images\.reader: unknown"):
        verify_screen(screen)
    assert "features.families: unknown feature family 'bright'" in screen_state(screen).changed[0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"inventory"', '"inventori"', "images.reader: unknown reader 'inventori'; did you mean 'inventory'?"),
        ("wells =", "wels =", "images.options: unknown parameter of reader 'inventory' 'wels'; did you mean 'wells'?"),
        ('table = "inventory.csv", ', "", "images.options: reader 'inventory' needs the parameter 'table'"),
        (
            "wells = [",
            "wells = [1, ",
            "images.options: parameter 'wells' of reader 'inventory' must be tuple[str, ...]",
        ),
        ('"disks"', '"disk"', "segmentation.segmenter: unknown segmenter 'disk'; did you mean 'disks'?"),
        ("reach_px = 5", "reach = 5", "segmentation.parameters: unknown parameter of segmenter 'disks' 'reach'"),
        (
            "reach_px = 5",
            "reach_px = []",
            "segmentation.parameters: parameter 'reach_px' of segmenter 'disks' must be int",
        ),
        ('"bright"', '"brigth"', "features.families: unknown feature family 'brigth'; did you mean 'bright'?"),
        ("level =", "levels =", "features.families: unknown parameter of feature family 'bright' 'levels'"),
        (
            '"midrange"',
            '"midrang"',
            "profiles.recipe: unknown normalization method 'midrang'; did you mean 'midrange'?",
        ),
        ("factor = 2", "factor = -2", "profiles.recipe: factor must be above 0; found -2.0"),
        ("factor = 2", "faktor = 2", "profiles.recipe: unknown parameter of normalization method 'midrange' 'faktor'"),
    ],
)
def test_a_wrong_parameter_is_named_when_screen_toml_is_read(
    example: Path, config: Path, old: str, new: str, message: str
) -> None:
    text = config.read_text()
    parse_config(text)
    with pytest.raises(ConfigError) as caught:
        parse_config(text.replace(old, new))
    assert message in str(caught.value)


def test_without_the_package_its_plug_ins_are_unknown(config: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(config.read_text())
    for key in ("images.reader", "segmentation.segmenter", "features.families", "profiles.recipe"):
        assert f"{key}: unknown" in str(caught.value)


def test_what_a_reader_returns_is_checked(example: Path, config: Path) -> None:
    screen = parse_config(config.read_text().replace(json.dumps(WELLS), "[]"))
    table = config.parent / "images" / "inventory.csv"
    good = table.read_text()
    table.write_text(good.replace("a1", "well 1"))
    with pytest.raises(PlateMapError, match="well 1"):
        index_images(screen, table.parent)
    table.write_text(good.replace(",a1,1,", ",a1,,"))
    with pytest.raises(SchemaError, match=r"Metadata_Site in every row; it is missing in 2 of 48"):
        index_images(screen, table.parent)
    table.write_text(good.splitlines()[0])
    with pytest.raises(DataError, match=r"no image found .* the reader 'inventory' lists none"):
        index_images(screen, table.parent)
