"""``phenoprint design``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from phenoprint.plates import parse_plate_map
from phenoprint.store import create

Call = Callable[..., tuple[int, str, str]]


def test_a_layout_is_written_as_a_plate_map(call: Call, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text("compound;moa;pert_type\n" + "".join(f"c{i};m;\n" for i in range(10)) + "taxol;tubulin;poscon\n")
    made = tmp_path / "map.csv"
    options = ("--format", 96, "--replicates", 3, "--controls", 8, "--positive", 2, "--doses", "0.1,1", "--unit", "µM")
    code, out, _ = call("design", "layout", listed, "-o", made, *options, "--json")
    assert code == 0
    record = json.loads(out)
    assert (record["treatments"], record["n_plates"], record["n_same_position"], record["n_edge_controls"]) == (
        20,
        3,
        0,
        0,
    )
    wells = parse_plate_map(made.read_text(encoding="utf-8"), source="map.csv", plate_format=96)
    kinds = dict(wells.group_by("Metadata_pert_type").len().iter_rows())
    assert kinds == {"trt": 60, "negcon": 24, "poscon": 6, "empty": 198}
    code, _, err = call("design", "layout", listed, "-o", made)
    assert code == 2
    assert "exists; name another file" in err


def test_a_layout_prints_how_even_it_is(call: Call, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("compound\na\nb\n")
    code, out, _ = call(
        "design", "layout", tmp_path / "list.csv", "-o", tmp_path / "map.csv", "--format", 96, "--controls", 8
    )
    assert code == 0
    assert "0 pairs of wells of a treatment in one position" in out
    assert "0 at the edge; per quadrant 2" in out


def test_too_few_plates_are_named(call: Call, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("compound\n" + "".join(f"c{i}\n" for i in range(90)))
    code, _, err = call(
        "design", "layout", tmp_path / "list.csv", "-o", tmp_path / "map.csv", "--format", 96, "--plates", 3
    )
    assert code == 1
    assert "there are 3" in err
    assert not (tmp_path / "map.csv").exists()


def test_power_by_the_controls_of_a_screen(call: Call, tmp_path: Path) -> None:
    screen = create(tmp_path / "screen")
    code, _, err = call("design", "power", screen.path)
    assert code == 2
    assert "no selected profiles" in err
    n = 24
    about = {"Metadata_Plate": ["p"] * n, "Metadata_Well": [f"A{i:02d}" for i in range(1, n + 1)]}
    values = pl.from_numpy(np.random.default_rng(0).normal(size=(n, 6)).astype(np.float32), schema=list("abcdef"))
    names = [f"Cells_Texture_{name}" for name in "abcdef"]
    screen.write(
        "profile_selected", pl.DataFrame(about).hstack(values.rename(dict(zip("abcdef", names, strict=True)))), "p"
    )
    screen.write("well", pl.DataFrame({**about, "Metadata_pert_type": ["negcon"] * n}), "p")
    table = tmp_path / "power.csv"
    options = ("--replicates", "4", "--controls", "12", "--effects", "4", "--screens", 1)
    code, out, _ = call("design", "power", screen.path, *options, "-o", table, "--json")
    assert code == 0
    record = json.loads(out)
    assert record["noise"] == "24 negative controls on 1 plate, 6 features"
    assert [row["effect"] for row in record["powers"]] == [0.0, 4.0]
    assert record["powers"][1]["power"] > 0.8
    assert pl.read_csv(table).height == 2


def test_power_without_a_screen_prints_a_row_per_design(call: Call) -> None:
    options = ("--replicates", "2", "--controls", "4,8", "--effects", "2", "--screens", 1)
    code, out, err = call("design", "power", *options)
    assert code == 0
    assert "design 2 of 2: 2 replicates, 8 controls per plate" in err
    assert "simulated controls, 300 features" in out
    code, _, err = call("design", "power", "--replicates", "two")
    assert code == 2
    assert "--replicates takes numbers" in err
