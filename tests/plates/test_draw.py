from __future__ import annotations

import polars as pl
import pytest

from phenoprint.errors import SchemaError, UsageError
from phenoprint.plates import PlateFormat, draw_plate, parse_plate_map, reconcile


def reconciled(n: int, *, gone: str = "A02") -> tuple[pl.DataFrame, pl.DataFrame]:
    names = [str(well) for well in PlateFormat.of(n).wells()]
    text = "well,compound\n" + "".join(f"{well},{'DMSO' if i % 3 == 0 else 'x'}\n" for i, well in enumerate(names[:-1]))
    images = pl.DataFrame(
        [
            {"Metadata_Plate": "P1", "Metadata_Well": well, "Metadata_Site": "1", "Metadata_Channel": channel}
            for well in names
            for channel in ("DNA", "ER")
            if well != gone and (well, channel) != ("B01", "ER")
        ]
    )
    found = reconcile(images, parse_plate_map(text, source="m"))
    return found.wells, found.problems


@pytest.mark.parametrize("n", [6, 24, 96, 384])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_both_plates_are_side_by_side_in_120_columns(n: int, *, ascii_only: bool) -> None:
    wells, problems = reconciled(n)
    lines = draw_plate(wells, problems=problems, plate_format=n, ascii_only=ascii_only).splitlines()
    plate = PlateFormat.of(n)
    assert max(map(len, lines)) <= 120
    assert len(lines) == plate.rows + 6
    assert lines[0] == f"P1 ({n}-well)"
    assert lines[1].split() == ["files", "plate", "map"]
    assert "".join(lines).isascii() == ascii_only


def test_marks_distinguish_files_and_map() -> None:
    wells, problems = reconciled(96)
    lines = draw_plate(wells, problems=problems, ascii_only=True).splitlines()
    files, plan = lines[3][3:27].split(), lines[3][33:].split()
    assert files == ["#", "!"] + ["#"] * 10
    assert plan == ["-", "#", "#"] * 4
    assert lines[4][3] == "%"  # B01 lacks a channel
    assert lines[10][3:27].split()[-1] == "?"
    assert lines[10].split()[-1] == "."
    assert (
        lines[-2]
        == "files  # images 93   % images, something missing 1   ? images, not in the map 1   ! in the map, no image 1"
    )
    assert lines[-1] == "map    # treatment 63   - negative control 32   . not in the map 1"


@pytest.mark.parametrize(("n", "width"), [(384, 80), (384, 60), (1536, 120), (1536, 60)])
def test_less_room_draws_closer_or_below(n: int, width: int) -> None:
    wells, problems = reconciled(n)
    lines = draw_plate(wells, problems=problems, width=width, plate_format=n).splitlines()
    assert max(map(len, lines[:-2])) <= width


def test_without_a_map_no_well_is_questioned() -> None:
    images = pl.DataFrame(
        {"Metadata_Plate": ["P"], "Metadata_Well": ["A01"], "Metadata_Site": ["1"], "Metadata_Channel": ["x"]}
    )
    assert "?" not in draw_plate(reconcile(images, None).wells)


def test_the_plate_must_be_given_and_exist() -> None:
    wells, _ = reconciled(96)
    both = pl.concat([wells, wells.with_columns(Metadata_Plate=pl.lit("P2"))])
    with pytest.raises(UsageError, match="not given; there are: P1, P2"):
        draw_plate(both)
    with pytest.raises(UsageError, match="no plate 'P3'"):
        draw_plate(both, plate="P3")
    assert draw_plate(both, plate="P2").startswith("P2 (96-well)")
    with pytest.raises(SchemaError, match="has_images"):
        draw_plate(wells.drop("has_images"))
