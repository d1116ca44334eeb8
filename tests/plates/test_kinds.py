"""Columns with kinds of wells: by name, by values, by the caller's choice."""

from __future__ import annotations

import polars as pl
import pytest

from phenoprint.errors import PlateMapError
from phenoprint.plates import plate_map_of, read_parts


def read(text: str, **options: dict[str, str]) -> tuple[list[str], pl.DataFrame]:
    found = plate_map_of(read_parts(text, source="map.csv"), **options)  # type: ignore[arg-type]
    return found.wells["Metadata_pert_type"].to_list(), found.reading


def details(reading: pl.DataFrame, kind: str = "column") -> dict[str, tuple[str | None, str | None, str | None]]:
    rows = reading.filter(kind=kind).select("found", "read_as", "place", "doubt").iter_rows()
    return {found: (read_as, place, doubt) for found, read_as, place, doubt in rows}


@pytest.mark.parametrize(
    "column",
    [
        "Type",
        "Role",
        "Content",
        "Treatment type",
        "well type",
        "Control_Type",
        "Typ",
        "Rolle",
        "Inhalt",
        "rôle",
        "Tipo",
    ],
)
def test_a_column_of_kinds_is_known_by_its_values(column: str) -> None:
    words = ["positive control", "NTC", "scrambled", "non-targeting", "DMSO_ctrl", "DMSO control", "Medium"]
    words += ["untreated", "blank", "compound"]
    text = f"well,Cmpd,{column}\n" + "".join(f"A{n},x{n},{word}\n" for n, word in enumerate(words, start=1))
    kinds, reading = read(text)
    assert kinds == ["poscon", *["negcon"] * 7, "empty", "trt"]
    assert details(reading)[column][0] == "pert_type"
    assert details(reading, "value")["Medium"] == ("negcon", f"in {column}", None)


def test_a_column_of_other_values_stays_metadata_with_the_reason() -> None:
    kinds, reading = read("well,Cmpd,Type\nA1,taxol,tubulin binder\nA2,DMSO,control\n")
    assert kinds == ["trt", "negcon"]
    assert details(reading)["Type"] == (None, "kept as Metadata_Type", "its value 'tubulin binder' is no kind of well")
    # a column of samples only does not turn DMSO into a treatment
    kinds, reading = read("well,Cmpd,Type\nA1,taxol,sample\nA2,DMSO,sample\n")
    assert kinds == ["trt", "negcon"]
    assert "names no controls beside treatments" in str(details(reading)["Type"][2])


def test_the_compounds_alone_name_controls() -> None:
    kinds, reading = read("well,Substanz\nA1,DMSO\nA2,taxol\nA3,\nA4,Kontrolle\n")
    assert kinds == ["negcon", "trt", "empty", "trt"]
    assert details(reading, "value") == {
        "DMSO": ("negcon", "in Substanz", None),
        "(blank)": ("empty", "in Substanz", None),
        "Kontrolle": ("trt", "in Substanz", "may be a control; define it with pert_types"),
    }


def test_plain_control_is_settled_by_another_column_or_refused() -> None:
    assert read("well,compound,Type\nA1,DMSO,control\nA2,taxol,treated\n")[0] == ["negcon", "trt"]
    assert read("well,pert_type,control_type\nA1,control,negcon\nA2,trt,\nA3,control,poscon_cp\n")[0] == [
        *("negcon", "trt", "poscon")
    ]
    with pytest.raises(PlateMapError, match="line 2: pert_type 'control' may mean several kinds") as caught:
        read("well,compound,Type\nA1,x,control\nA2,taxol,treated\n")
    assert "poscon (positive control" in str(caught.value)


def test_the_callers_word_counts() -> None:
    text = "well,Cmpd,Type\nA1,x,Medium\nA2,y,sample\nA3,Wortmannin,sample\n"
    assert read(text)[0] == ["negcon", "trt", "trt"]
    own = {"medium": "empty", "WORTMANNIN": "poscon"}
    kinds, reading = read(text, pert_types=own)
    assert kinds == ["empty", "trt", "poscon"]
    assert details(reading, "value")["Wortmannin"][0] == "poscon"
    text = "well,Content,Group\nA1,DMSO,blank\nA2,taxol,sample\n"
    assert read(text)[0] == ["empty", "trt"]
    assert read(text, columns={"compound": "Content", "pert_type": "Content"}, pert_types={"taxol": "trt"})[0] == [
        *("negcon", "trt")
    ]
    with pytest.raises(PlateMapError, match=r"map\.csv: no column 'content' for compound; found well, Content, Group"):
        read(text, columns={"compound": "content"})
    with pytest.raises(PlateMapError, match="a plate map has no 'name'; expected well, row"):
        read(text, columns={"name": "Content"})


def test_two_columns_that_disagree_are_refused() -> None:
    text = "well,compound,Type,Role\nA1,x,negative,poscon\nA2,y,treated,sample\n"
    with pytest.raises(PlateMapError, match=r"line 2: Type has 'negative' \(negcon\), Role has 'poscon'"):
        read(text)
    assert read(text, columns={"pert_type": "Role"})[0] == ["poscon", "trt"]


def test_a_kind_that_contradicts_the_compound_is_reported() -> None:
    kinds, reading = read("well,compound,pert_type\nA1,DMSO,trt\nA2,DMSO,negcon\n")
    assert kinds == ["trt", "negcon"]
    assert details(reading, "value")["trt"][1:] == ("in pert_type", "compound is 'DMSO'")


def test_columns_that_could_have_been_more_are_named() -> None:
    _, reading = read("well,compound,treatment,passage\nA1,x,y,7\n")
    assert details(reading)["treatment"] == (None, "kept as Metadata_treatment", "'compound' is taken for compound")
    assert details(reading)["passage"][0] is None
    _, reading = read("well,compound,row\nA1,x,7\n")
    assert details(reading)["row"] == (None, None, "its values are not those of the wells")
    assert details(read("well,row,col\nB3,B,3\n")[1])["row"] == ("row", None, None)
