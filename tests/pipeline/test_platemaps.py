"""Plate maps of a screen: spreadsheets are found and read, and a map that names no control stops the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import openpyxl
import polars as pl
import pytest

from phenoprint.errors import ConfigError, PlateMapError
from phenoprint.pipeline import parse_config, propose, run_screen
from phenoprint.pipeline.ingest import ingest
from phenoprint.pipeline.platemaps import check_plate_map, count_kinds
from phenoprint.pipeline.setup import find_plate_maps
from phenoprint.pipeline.simulated_screen import SimulatedScreen

HEAD = 'screen.name = "p"\nimages.root = "images"\n'


def spreadsheet(path: Path, rows: list[list[object]], *, sheet: str = "Layout") -> Path:
    book = openpyxl.Workbook()
    book.worksheets[0].title = sheet
    for row in rows:
        book.worksheets[0].append(row)
    book.save(path)
    return path


def as_spreadsheet(csv: Path, path: Path, **renamed: str) -> Path:
    frame = pl.read_csv(csv, infer_schema=False).rename(renamed)
    return spreadsheet(path, [["Layout"], [], frame.columns, *map(list, frame.rows())])


def tables(config: Path, section: str) -> dict[str, pl.DataFrame]:
    return ingest(parse_config(f"{HEAD}[plate_map]\n{section}\n"), config.parent).tables


def test_a_spreadsheet_gives_the_wells_of_the_csv(own_images: Callable[[], Path]) -> None:
    config = own_images()
    given = tables(config, 'files = ["platemap.csv"]')
    as_spreadsheet(config.parent / "platemap.csv", config.parent / "map.xlsx")
    found = tables(config, 'files = ["map.xlsx"]')
    assert found["well"].equals(given["well"])
    assert found["perturbation"].equals(given["perturbation"])
    assert set(found["plate_map_reading"]["source"]) == {f"{config.parent / 'map.xlsx'}, sheet 'Layout'"}
    (config.parent / "barcode_platemap.csv").write_text("Assay_Plate_Barcode,Plate_Map_Name\nSIM-P01,m1\n")
    (config.parent / "platemap").mkdir()
    (config.parent / "map.xlsx").rename(config.parent / "platemap" / "m1.xlsx")
    again = tables(config, 'barcode_platemap = "barcode_platemap.csv"')
    assert again["well"].drop("Metadata_plate_map_name", strict=False).equals(given["well"])


def test_settings_of_the_plate_map(own_images: Callable[[], Path]) -> None:
    config = own_images()
    path = config.parent / "map.xlsx"
    as_spreadsheet(config.parent / "platemap.csv", path, compound="Content")
    section = 'files = ["map.xlsx"]\nsheet = "Layout"\ncolumns = { compound = "Content" }\n'
    kinds = count_kinds(tables(config, section + 'pert_types = { "DMSO" = "empty", "Medium" = "negcon" }')["well"])
    assert kinds["negcon"] + kinds["empty"] > 0
    reading = tables(config, section + 'pert_types = { "Medium" = "negcon" }')["plate_map_reading"]
    unsaid = reading.filter(found="Medium").row(0, named=True)
    assert (unsaid["read_as"], unsaid["doubt"]) == (None, "no well has 'Medium', which pert_types defines as negcon")
    with pytest.raises(PlateMapError, match="no sheet 'Map'; its sheets: 'Layout'"):
        tables(config, 'files = ["map.xlsx"]\nsheet = "Map"')
    with pytest.raises(ConfigError, match=r"plate_map\.pert_types\.Medium: Input should be 'trt', 'negcon'"):
        parse_config(HEAD + '[plate_map]\npert_types = { "Medium" = "control" }')


LINES = "well,Content,Passage\n" + "".join(f"{r}{c},{{}},7\n" for r in "ABCD" for c in range(1, 7))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LINES.replace("{}", "taxol"), r"every imaged well of the plate map .* is empty \(24\): .*not used: Content"),
        (LINES.replace("Content", "Cmpd").replace("{}", "taxol"), r"no imaged well is a negative control \(24 trt, 0"),
        (LINES.replace("Content", "Cmpd").replace("{}", "control"), r"to check: 'control' may be a control"),
        (
            LINES.replace("Content", "Cmpd").replace("{}", "blank"),
            r"every imaged well .* is empty \(24\): well is well",
        ),
        ("plate,well,Cmpd\nP9,A1,DMSO\n", r"none of the 24 imaged wells is in the plate map .* plate P9 with"),
    ],
)
def test_a_map_without_controls_stops_the_run_before_it_begins(
    own_images: Callable[[], Path], tmp_path: Path, text: str, said: str
) -> None:
    config = own_images()
    (config.parent / "platemap.csv").write_text(text)
    with pytest.raises(PlateMapError, match=said):
        run_screen(config, output=tmp_path / "s", workers=1)
    assert not (tmp_path / "s" / "tables" / "well").exists()
    assert not (tmp_path / "s" / "masks").exists()


def test_all_wells_as_reference_or_no_map_at_all_are_not_refused(own_images: Callable[[], Path]) -> None:
    config = own_images()
    (config.parent / "platemap.csv").write_text(LINES.replace("Content", "Cmpd").replace("{}", "taxol"))
    found = tables(config, 'files = ["platemap.csv"]')
    with pytest.raises(PlateMapError, match='reference = "all"'):
        check_plate_map(found["well"], found["plate_map_reading"], reference="negcon")
    check_plate_map(found["well"], found["plate_map_reading"], reference="all")
    without = tables(config, "")
    assert without["plate_map_reading"].is_empty()
    check_plate_map(without["well"], without["plate_map_reading"], reference="negcon")
    assert count_kinds(without["well"])["not_annotated"] == 24


def test_maps_are_found_beside_the_images_and_bad_ones_named(tmp_path: Path) -> None:
    spreadsheet(tmp_path / "layout.xlsx", [["Well", "Substanz"], ["A1", "DMSO"]])
    spreadsheet(tmp_path / "costs.xlsx", [["item", "price"], ["plates", 12]])
    (tmp_path / "~$layout.xlsx").write_bytes(b"lock")
    (tmp_path / "broken.csv").write_text("well,pert_type\nA2,control\n")
    (tmp_path / "notes.txt").write_text("nothing to see\n")
    found, barcode, unread = find_plate_maps(tmp_path)
    assert (found, barcode) == ([tmp_path / "layout.xlsx"], None)
    assert [Path(reason.split(":", maxsplit=1)[0]).name for reason in unread] == ["broken.csv", "costs.xlsx"]
    assert "may mean several kinds" in unread[0]
    assert "no sheet is a plate map" in unread[1]


def test_a_proposal_without_controls_compares_with_all_wells(tiny_images: SimulatedScreen, tmp_path: Path) -> None:
    def proposed(compound: str, header: str = "Cmpd") -> tuple[str, str | None]:
        path = tmp_path / "map.csv"
        path.write_text(LINES.replace("Content", header).replace("{}", compound))
        proposal = propose(tiny_images.images, plate_map=path)
        return proposal.text, proposal.obstacle

    text, obstacle = proposed("DMSO")
    assert '# reference = "negcon"' in text
    assert "# min_reference = 3 " in text
    assert obstacle is None
    text, obstacle = proposed("taxol")
    assert '\nreference = "all"' in text
    assert obstacle is None
    _, obstacle = proposed("taxol", "Content")
    assert "imaged well of the plate map" in str(obstacle)
    text, obstacle = proposed("control", "pert_type")
    assert "line 2: pert_type 'control' may mean several kinds" in str(obstacle)
    assert "(the same at line 3, 4, 5 and 20 more)" in str(obstacle)
    assert 'map.csv"]' in text
