"""``phenoprint query``: what is printed of any result, and what is said of what is not."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from phenoprint.store import Screen, create
from phenoprint.store.layout import table_files

Call = Callable[..., tuple[int, str, str]]

N_FEATURES = 80


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Screen:
    """A screen of 40 cells with more features than fit a terminal; read only."""
    made = create(tmp_path_factory.mktemp("query") / "screen")
    keys = {
        "Metadata_Plate": ["000123"] * 40,
        "Metadata_Well": [f"A{1 + k // 10:02d}" for k in range(40)],
        "Metadata_Site": ["1"] * 40,
        "Metadata_ObjectNumber": np.arange(1, 41, dtype=np.int32),
    }
    made.write("cell", pl.DataFrame(keys | {f"Cells_F{k}": np.arange(40) + k / 10 for k in range(N_FEATURES)}))
    wells = {"Metadata_Plate": ["000123"], "Metadata_Well": ["A01"], "has_images": [True], "is_annotated": [True]}
    made.write("well", pl.DataFrame(wells | {"Metadata_compound": [":x: [red]a[/] \x1b[31m"]}))
    facts = {"feature": ["Cells_F0"], "unit": ["um"], "description": ["how long it is"]}
    made.write("feature", pl.DataFrame(facts))
    made.rebuild_catalog()
    return made


@pytest.fixture
def call(call: Call, columns: Callable[[int], None]) -> Call:
    """Return a function that runs the command line in a terminal of 100 columns."""
    columns(100)
    return call


def test_many_rows_show_the_columns_that_fit(call: Call, screen: Screen) -> None:
    code, out, _ = call("query", screen.path, "SELECT * FROM cell")
    assert code == 0
    assert max(len(line) for line in out.splitlines() if "columns do not fit" not in line) <= 100
    assert "Metadata_ObjectNumber" in out
    text = "78 of 84 columns do not fit: Cells_F2, Cells_F3, Cells_F4, ...; name those you need in SELECT"
    assert text in out
    assert "40 rows" in out


def test_few_rows_are_blocks_of_one_line_per_column(call: Call, screen: Screen) -> None:
    _, out, _ = call("query", screen.path, "SELECT * FROM cell ORDER BY 4", "--limit", 2)
    assert "row 1" in out
    assert "row 2" in out
    assert "row 3" not in out
    assert any(line.split() == ["Cells_F0", "1"] for line in out.splitlines())
    assert f"{N_FEATURES + 4 - 60} of {N_FEATURES + 4} columns are not shown; name those you need in SELECT" in out
    assert "the first 2 of 40 rows; --limit 0 reads all" in out


def test_an_empty_query_is_refused(call: Call, screen: Screen) -> None:
    code, out, err = call("query", screen.path, " ")
    assert (code, out) == (2, "")
    assert "the query is empty" in err


def test_what_fits_is_a_table(call: Call, screen: Screen) -> None:
    _, out, _ = call("query", screen.path, "SELECT Metadata_Well, Cells_F0 FROM cell ORDER BY ALL LIMIT 1")
    assert "row 1" not in out
    assert "do not fit" not in out
    assert "1 row" in out


def test_text_of_the_data_is_printed_as_it_is(call: Call, screen: Screen) -> None:
    _, out, _ = call("query", screen.path, "SELECT Metadata_compound FROM well")
    assert ":x: [red]a[/] \u241b[31m" in out
    code, _, err = call("query", screen.path, "SELECT ':x: [red]' FROM unknown")
    assert code == 2
    assert "unknown table 'unknown'" in err


@pytest.mark.parametrize("form", ["--csv", "--json", "--parquet"])
def test_the_limit_holds_for_every_form(call: Call, screen: Screen, tmp_path: Path, form: str) -> None:
    file = tmp_path / "x.parquet"
    query = ["query", screen.path, "SELECT Metadata_ObjectNumber AS n FROM cell ORDER BY n", form]
    arguments = [*query, file] if form == "--parquet" else query
    found = []
    for limit in (["--limit", 3], ["--limit", 0], []):
        code, out, _ = call(*arguments, *limit)
        assert code == 0
        frames = {
            "--csv": lambda text: pl.read_csv(io.StringIO(text)),
            "--json": lambda text: pl.DataFrame(json.loads(text)),
            "--parquet": lambda _: pl.read_parquet(file),
        }
        found.append(frames[form](out)["n"].to_list())
    assert found == [[1, 2, 3], list(range(1, 41)), list(range(1, 41))]


ODD = """
SELECT INTERVAL 1 DAY AS i, union_value(a := 1) AS u, MAP {'a': [1.5, 'nan'::DOUBLE]} AS m, sum(5) AS h,
    TIME '10:11:12' AS t, '101'::BIT AS b, 1.5::DECIMAL(9, 2) AS d, 'b'::ENUM('a', 'b') AS e, {'a': NULL} AS s, [] AS l,
    NULL AS n, 1 AS x, 2 AS x, TIMESTAMPTZ '2020-01-01 00:00+00' AS z, '6ccd780c-baba-1026-9564-5b8c656024db'::UUID AS k
"""


def test_types_without_an_equal_are_printed_in_every_form(call: Call, screen: Screen, tmp_path: Path) -> None:
    code, out, _ = call("query", screen.path, ODD)
    assert code == 0
    assert "1 day" in out
    code, out, _ = call("query", screen.path, ODD, "--csv")
    assert code == 0
    row = pl.read_csv(io.StringIO(out), infer_schema=False).row(0, named=True)
    assert (row["i"], row["u"], row["m"], row["h"], row["d"]) == ("1 day", "1", '{"a": [1.5, null]}', "5", "1.50")
    code, out, _ = call("query", screen.path, ODD, "--json")
    assert code == 0
    [record] = json.loads(out)
    expected = {
        "i": "1 day",
        "u": "1",
        "m": {"a": [1.5, None]},
        "h": 5,
        "t": "10:11:12",
        "b": "101",
        "d": 1.5,
        "e": "b",
    }
    assert {name: record[name] for name in expected} == expected
    assert record["z"] == "2020-01-01T00:00:00+00:00"
    code, _, _ = call("query", screen.path, ODD, "--parquet", tmp_path / "x.parquet")
    assert code == 0
    assert pl.read_parquet(tmp_path / "x.parquet")["i"].to_list() == ["1 day"]


def test_describe_lists_type_unit_and_comment_of_columns(call: Call, screen: Screen) -> None:
    _, out, _ = call("query", screen.path, "--describe", "cell", "--json")
    columns = {row["column"]: row for row in json.loads(out)}
    assert list(columns)[:2] == ["Metadata_Plate", "Metadata_Well"]
    assert columns["Cells_F0"] == {"column": "Cells_F0", "type": "FLOAT", "unit": "um", "comment": "how long it is"}
    assert columns["Cells_F1"]["comment"] is None
    assert columns["Metadata_Plate"]["comment"]
    _, out, _ = call("query", screen.path, "--describe", "well_summary", "--json")
    columns = {row["column"]: row for row in json.loads(out)}
    assert columns["n_cells"]["comment"] == "Cells found in the well"
    assert columns["Metadata_compound"]["comment"].startswith("Compound")
    code, out, _ = call("query", screen.path, "--describe", "well_summary")
    assert code == 0
    assert "Cells found in the well" in out
    code, _, err = call("query", screen.path, "--describe", "wel")
    assert code == 2
    assert "did you mean 'well'" in err
    code, _, err = call("query", screen.path, "SELECT 1", "--describe", "well")
    assert code == 2
    assert "not both" in err


def test_every_column_of_saved_views_has_a_comment(screen: Screen) -> None:
    for view in ("well_summary", "wells_flagged", "lost"):
        frame = screen.describe(view)
        assert frame.filter(pl.col("comment").is_null())["column"].to_list() == [], view


def test_the_comment_of_a_column_is_printed_next_to_its_name(call: Call, screen: Screen) -> None:
    _, out, _ = call("query", screen.path, "--describe", "cell")
    header = next(line for line in out.splitlines() if "column" in line)
    assert header.replace("┃", " ").split()[:2] == ["column", "comment"]


def test_a_damaged_table_is_a_note_and_an_error_where_it_is_used(call: Call, screen: Screen, tmp_path: Path) -> None:
    hurt = create(tmp_path / "hurt")
    for name in ("cell", "well"):
        hurt.write(name, screen.table(name).collect())
    [path] = table_files(hurt.path, "cell")
    path.write_bytes(path.read_bytes()[:-9])
    code, out, err = call("query", hurt.path, "SELECT count(*) AS n FROM well", "--json")
    assert code == 0
    assert json.loads(out) == [{"n": 1}]
    assert err.startswith("note  left out because a file is damaged or missing: cell, cells_annotated")
    assert "Warning" not in err
    code, _, err = call("query", hurt.path, "SELECT count(*) FROM cells_annotated")
    assert code == 1
    assert "error  table 'cell' is damaged" in err
    assert "Run the screen again" in err
