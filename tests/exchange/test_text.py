"""Tables as text, read whole or block by block."""

import gzip
import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoprint.errors import SchemaError
from phenoprint.exchange import read_profiles
from phenoprint.exchange.cleaning.columns import clean
from phenoprint.exchange.findings import Findings
from phenoprint.exchange.names import is_descriptive, renames
from phenoprint.exchange.sources.text import read_blocks, read_header


def read_csv(path: Path) -> pl.DataFrame:
    """Read a table at once."""
    return next(read_blocks(path, block_bytes=None))


def test_blocks_give_the_same_rows_as_the_whole(tmp_path):
    rng = np.random.default_rng(0)
    rows = [f"P{k // 7},A01,{k},{x:.5g},{'nan' if k % 5 == 0 else x}" for k, x in enumerate(rng.normal(size=200))]
    path = tmp_path / "t.csv.gz"
    text = "Metadata_Plate,Metadata_Well,ObjectNumber,Cells_A,Cells_B\n" + "\n".join(rows)  # no line end at the end
    path.write_bytes(gzip.compress(text.encode()))
    whole = read_csv(path)
    blocks = list(read_blocks(path, block_bytes=300))
    assert len(blocks) > 10
    assert pl.concat(blocks).equals(whole)
    assert whole.height == 200
    assert whole.schema["ObjectNumber"] == pl.String  # identifiers are never numbers


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.text("ab \n,\"'", max_size=6), st.none() | st.floats(-1e3, 1e3, width=32)), min_size=1, max_size=30
    ),
    st.integers(1, 60),
)
def test_any_text_is_unchanged_by_blocks(tmp_path_factory, rows, size):
    frame = pl.DataFrame(
        {
            "Metadata_Name": [f"x{name}" for name, _ in rows],
            "Cells_A": pl.Series([v for _, v in rows], dtype=pl.Float32),
        }
    )
    path = tmp_path_factory.mktemp("t") / "t.csv"
    frame.write_csv(path)
    assert pl.concat(read_blocks(path, block_bytes=size)).equals(frame)


def test_semicolons_with_decimal_commas(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("Metadata_Well;Cells_A;Cells_B\nA01;1,5;NA\nA02;-2;0,25\n")
    assert read_header(path).decimal_comma
    assert read_csv(path).rows() == [("A01", 1.5, None), ("A02", -2.0, 0.25)]


def test_text_that_is_not_utf8(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("Metadata_compound,Cells_A\n5 µM β,1\n".encode("cp1252", errors="replace"))
    assert read_csv(path)["Metadata_compound"].to_list() == ["5 µM ?"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"\x00\x01\x02\n", "not text"),
        (b"a,b\n1\n", "ends in the middle of a row|is not a table"),
        (b"Cells_A,Cells_B\n1,2\n1", "ends in the middle of a row"),
        (b"Cells_A,Cells_B\n1,2\n1,2,3\n", "is not a table"),
        (b'Metadata_a,Cells_A,Cells_B\n,1,2\n,1e9,"', "quote opened in line 3 is not closed"),
        (b'Metadata_a,Cells_A\nx,1\n"y,1\nz,3\n', "quote opened in line 3 is not closed"),
        (b'Metadata_a,Cells_A\nx,1\ny,"2', "quote opened in line 3 is not closed"),
        (b'Metadata_a,"Cells_A\nx,1\n', "a quote in its header is not closed"),
        (b"Metadata_a,Cells_A\rx,1\r", "end in CR alone"),
    ],
)
def test_broken_text_is_named(tmp_path, content, what):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(SchemaError, match=what) as caught:
        read_csv(path)
    assert str(path) in str(caught.value)


def test_an_open_quote_is_found_whatever_the_blocks(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("Metadata_Well,Cells_A\n" + "A01,1\n" * 50 + '"A02,1\n' + "A03,1\n" * 50)
    for size in (20, 100, 1000):
        with pytest.raises(SchemaError, match="quote opened in line 52 is not closed"):
            list(read_blocks(path, block_bytes=size))


def test_names_of_columns_may_hold_the_separator(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('"Metadata_Well","Cells, A"\nA01,1\n')
    assert read_csv(path).columns == ["Metadata_Well", "Cells, A"]


def test_a_number_column_with_text_further_down(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("Metadata_Well,Cells_A\n" + "A01,1\n" * 50 + "A01,oops\n")
    with pytest.raises(SchemaError, match=r"'Cells_A' holds numbers at first and 'oops' further down"):
        list(read_blocks(path, block_bytes=100))
    assert read_csv(path).schema["Cells_A"] == pl.String  # seen whole, it is a column of text


def test_names_are_given_once():
    found = renames(["Metadata_Plate", "barcode", "Image_Metadata_Well", "well", "ImageNumber", "Cells_Parent_Nuclei"])
    assert found == {
        "barcode": "Metadata_barcode",
        "Image_Metadata_Well": "Metadata_Well",
        "well": "Metadata_well",
        "ImageNumber": "Metadata_ImageNumber",
        "Cells_Parent_Nuclei": "Metadata_Cells_Parent_Nuclei",
    }
    # without cells, the mean of parent numbers is a feature like others
    assert "Cells_Parent_Nuclei" not in renames(["Metadata_Plate", "Cells_Parent_Nuclei"])
    assert renames(["Metadata_Plate_x", "Metadata_Plate_y", "Cells_A"]) == {"Metadata_Plate_x": "Metadata_Plate"}


@given(st.text(max_size=20))
def test_any_column_name_is_judged(name):
    assert is_descriptive(name) in (True, False)
    assert set(renames([name])) <= {name}


def test_utf8_mark_and_windows_lines(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("\ufeffMetadata_Well,Cells_A\r\nA01,1\r\nA02,\r\n".encode())
    assert read_csv(path).rows() == [("A01", 1.0), ("A02", None)]
    assert io.BytesIO(path.read_bytes()).getvalue().startswith(b"\xef\xbb\xbf")


MISSING_WORDS = st.sampled_from(["nan", "NaN", "NA", "N/A", "", "null", "None", "-1.#IND", "#N/A"])
NUMBERS = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(lambda x: (repr(x), x)),
    st.integers(-(2**24), 2**24).map(lambda n: (str(n), float(n))),
    st.integers(-1000, 1000).map(lambda n: (f"{n}.0", float(n))),
    st.integers(-9, 9).map(lambda n: (f"{n}e+00{abs(n)}", float(f"{n}e+00{abs(n)}"))),
    st.sampled_from([("inf", np.inf), ("-inf", -np.inf), ("Infinity", np.inf), ("1e300", np.inf)]),
)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.one_of(NUMBERS, MISSING_WORDS.map(lambda word: (word, None))), st.sampled_from(["", '"', " "])),
        min_size=1,
        max_size=25,
    ),
    st.integers(5, 200),
)
def test_every_spelling_of_a_number_is_that_number(tmp_path_factory, cells, size):
    texts = [f"{around}{text}{around}" for (text, _), around in cells]
    lines = "".join(f"P,A01,x{k},{text}\n" for k, text in enumerate(texts))
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_text("Metadata_Plate,Metadata_Well,Metadata_id,Cells_A\n" + lines)
    with np.errstate(over="ignore"):
        expected = [None if value is None else float(np.float32(value)) for (_, value), _ in cells]
    for frame in (read_csv(path), pl.concat(read_blocks(path, block_bytes=size)), read_profiles(path)):
        assert frame.schema["Cells_A"] == pl.Float32
        assert frame["Metadata_id"].to_list() == [f"x{k}" for k in range(len(cells))]
        assert clean(frame, source="p", findings=Findings())["Cells_A"].to_list() == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["nan", "NA", "", "007", "1.50", "inf", "+1", "1e5", "x,y", "None", "-0"]), min_size=1))
def test_metadata_are_the_text_they_were(tmp_path_factory, words):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    pl.DataFrame({"Metadata_code": words, "Cells_A": [1.0] * len(words)}).write_csv(path)
    expected = [None if word in ("", "nan", "None") else word for word in words]
    assert read_profiles(path)["Metadata_code"].to_list() == expected  # NA may be the name of something
