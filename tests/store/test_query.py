"""A query is one statement that reads the tables of a screen and no other file; results have any type."""

import datetime as dt
from contextlib import nullcontext
from types import SimpleNamespace

import duckdb
import polars as pl
import pytest

from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.store import Screen, _query, create

from .conftest import fill


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Screen:
    """A screen of one plate that no test changes, with its catalog."""
    screen = fill(create(tmp_path_factory.mktemp("asked") / "my screen"))
    screen.rebuild_catalog()
    return screen


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM cell",
        "  -- how many\nSELECT count(*) FROM cell; -- cells",
        "/* all */ FROM cell;;",
        "(SELECT 1)",
        "SELECT 'a -- b;' AS \"é;\" ; /* x */ ; -- ü",
        "VALUES (1), (2)",
        "WITH a AS (SELECT 1 AS x) FROM a",
        "TABLE cell",
        "PIVOT cell ON Metadata_Well USING count(*)",
        "SHOW TABLES",
        "SHOW ALL TABLES",
        "DESCRIBE cell",
        "DESCRIBE SELECT 1",
        "SUMMARIZE cell",
        "EXPLAIN SELECT * FROM cell",
        "EXPLAIN ANALYZE SELECT * FROM cell",
        "explain /* x */ analyze -- y\n (format json) SELECT 1",
        "SELECT * FROM cell ORDER BY Cells_F0 DESC",
        "SELECT list_transform([1, 2], lambda x: x + 1)",
        "SELECT TIMESTAMPTZ '2020-01-01 00:00:00+00' AT TIME ZONE 'Europe/Berlin'",
        "SELECT '{\"a\": 1}'::JSON -> 'a'",
    ],
)
def test_statements_that_read_return_rows(asked: Screen, query: str):
    frame = asked.sql(query)
    assert frame.height > 0
    first = asked.first_rows(query, 1)
    assert first.frame.columns == frame.columns
    assert first.frame.height == 1
    assert first.total == frame.height


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("COPY cell TO '{path}/tables/cell/x.parquet'", "COPY"),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO '{path}/tables/x.csv'", "EXPLAIN"),
        ("EXPLAIN (ANALYZE) COPY (SELECT 1) TO '{path}/tables/x.csv'", "EXPLAIN"),
        ("/* */ EXPLAIN /* a */ ANALYZE -- b\n COPY (SELECT 1) TO '{path}/tables/x.csv'", "EXPLAIN"),
        ("EXPORT DATABASE '{path}/out'", "EXPORT"),
        ("PRAGMA log_query_path = '{path}/tables/log'", "PRAGMA"),
        ("PRAGMA table_info('cell')", "PRAGMA"),
        ("SET threads = 1", "SET"),
        ("RESET threads", "RESET"),
        ("USE memory", "USE"),
        ("ATTACH '{path}/x.duckdb'", "ATTACH"),
        ("INSTALL spatial", "INSTALL"),
        ("LOAD spatial", "LOAD"),
        ("CALL pragma_version()", "CALL"),
        ("CHECKPOINT", "CHECKPOINT"),
        ("VACUUM", "VACUUM"),
        ("BEGIN", "BEGIN"),
        ("PREPARE p AS SELECT 1", "PREPARE"),
        ("CREATE TABLE memory.main.x AS SELECT 1", "CREATE"),
        ("CREATE TABLE x AS PIVOT cell ON Metadata_Well", "CREATE"),
        ("INSERT INTO well VALUES (1)", "INSERT"),
    ],
)
def test_statements_that_do_more_than_read_are_refused(asked: Screen, query: str, found: str):
    before = sorted(asked.path.rglob("*"))
    with pytest.raises(UsageError, match=rf"a query only reads: expected SELECT, .* found {found}\."):
        asked.sql(query.format(path=asked.path))
    assert sorted(asked.path.rglob("*")) == before


@pytest.mark.parametrize("query", ["SELECT 1; SELECT 2", "SELECT 1; DROP TABLE well", "SET threads=1; SELECT 1"])
def test_statements_are_given_one_at_a_time(asked: Screen, query: str):
    with pytest.raises(UsageError, match=r"expected one statement, found 2: SE.*\. Give them one at a time"):
        asked.sql(query)


@pytest.mark.parametrize(
    ("query", "last", "is_refused"),
    [("PIVOT cell ON x", "SELECT", False), ("CREATE TABLE y AS PIVOT cell ON x", "TRANSACTION", True)],
)
def test_a_pivot_that_an_older_duckdb_splits_is_one_statement(query: str, last: str, is_refused: bool):
    """DuckDB 1.5 turns a pivot into statements without text, of which the last one has the result."""
    kinds = [duckdb.StatementType.CREATE, getattr(duckdb.StatementType, last)]
    parts = [SimpleNamespace(query="", type=kind) for kind in kinds]
    connection = SimpleNamespace(extract_statements=lambda _: parts)
    with pytest.raises(UsageError, match="found CREATE") if is_refused else nullcontext():
        _query._check(connection, query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('{outside}/secret.txt')",
        "SELECT * FROM read_text('{outside}/link.txt')",
        "SELECT * FROM read_blob('{path}/screen.toml')",
        "SELECT * FROM read_blob('{path}/tables/../screen.toml')",
        "SELECT * FROM read_csv('{outside}/secret.txt')",
        "SELECT * FROM read_parquet('{outside}/cell.parquet')",
        "SELECT * FROM parquet_metadata('{outside}/cell.parquet')",
        "SELECT * FROM glob('{outside}/*')",
        "FROM sniff_csv('{outside}/secret.txt')",
        "SELECT * FROM read_csv('https://example.org/x.csv')",
        "FROM read_parquet('s3://bucket/x.parquet')",
        "FROM enable_logging(storage = 'file', storage_path = '{outside}/log')",
        "WITH x AS (INSERT INTO well VALUES ('P', 'A01') RETURNING *) FROM x",
    ],
)
def test_nothing_but_the_tables_can_be_read(asked: Screen, tmp_path, query: str):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret\n1\n")
    (outside / "link.txt").symlink_to(outside / "secret.txt")
    pl.DataFrame({"x": [1]}).write_parquet(outside / "cell.parquet")
    with pytest.raises(UsageError):
        asked.sql(query.format(path=asked.path, outside=outside))
    assert sorted(path.name for path in outside.iterdir()) == ["cell.parquet", "link.txt", "secret.txt"]


def test_a_link_to_another_file_in_the_tables_is_not_followed(filled: Screen, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (filled.path / "tables" / "link.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(UsageError, match=r"reads the tables of the screen and no other file"):
        filled.sql(f"SELECT * FROM read_text('{filled.path}/tables/link.txt')")  # noqa: S608


def test_a_variable_of_the_caller_is_no_table(asked: Screen):
    frame = pl.DataFrame({"x": [1]})
    assert frame.height == 1
    with pytest.raises(UnknownNameError, match="unknown table 'frame'"):
        asked.sql("SELECT * FROM frame")


@pytest.mark.parametrize("ask", [lambda s: s.table("cels"), lambda s: s.sql("SELECT * FROM cels")])
def test_a_mistyped_table_lists_what_the_screen_has(asked: Screen, ask):
    with pytest.raises(UnknownNameError, match=r"unknown table 'cels'; did you mean 'cell'\?") as caught:
        ask(asked)
    message = str(caught.value)
    assert "well_summary" in message
    assert "image_quality" in message
    for internal in ("duckdb_", "pg_", "sqlite_", "columns,", "schemata", "catalog_state", "left_out"):
        assert internal not in message


def test_the_first_rows_follow_order_by(asked: Screen):
    query = "SELECT Cells_F0 FROM cell ORDER BY Cells_F0 DESC"
    first = asked.first_rows(query, 3)
    assert first.frame["Cells_F0"].to_list() == [6.0, 5.0, 4.0]
    assert first.total == 10
    assert asked.first_rows(query, 10).total == 10
    assert asked.first_rows(query, 0).frame.height == 0
    assert asked.first_rows("SELECT 1 LIMIT 0", 5).total == 0
    assert asked.first_rows("", 5).total == 0


def test_a_count_that_takes_long_is_not_waited_for(asked: Screen):
    slow = "SELECT a.range FROM range(10000000) a, range(10000000) b WHERE hash(a.range + b.range) % 1000 = 0"
    first = asked.first_rows(slow, 5)
    assert first.frame.height == 5
    assert first.total is None


ODD = {
    "INTERVAL '1 day'": "1 day",
    "[INTERVAL 1 DAY, NULL]": "['1 day', NULL]",
    "{'a': INTERVAL 1 DAY}": "{'a': '1 day'}",
    "MAP {'a': INTERVAL 1 DAY}": "{a='1 day'}",
    "union_value(a := 1)::UNION(a INT, b VARCHAR)": "1",
    "'101'::BIT": "101",
    "'10:11:12+02'::TIMETZ": "10:11:12+02",
    "12::BIGNUM": "12",
}


def test_types_without_a_counterpart_are_texts(asked: Screen):
    for sql, expected in ODD.items():
        value = asked.sql(f"SELECT {sql} AS x")["x"].to_list()
        assert [str(each).replace("'", "") for each in value] == [expected.replace("'", "")], sql


def test_types_with_a_counterpart_keep_it(asked: Screen):
    frame = asked.sql(
        "SELECT MAP {'a': 1} AS m, 5::HUGEINT AS h, TIME '10:11:12' AS t, 1.50::DECIMAL(9, 2) AS d, "
        "'b'::ENUM('a', 'b') AS e, uuid() AS u, {'a': [1, 2]} AS s, sum(1) AS n, '\\x01'::BLOB AS b, "
        "1 AS twice, 2 AS twice"
    )
    row = frame.drop("u").row(0)
    assert [str(value) for value in row[1:4]] == ["5", "10:11:12", "1.50"]
    assert row[2] == dt.time(10, 11, 12)
    assert row[4:] == ("b", {"a": [1, 2]}, 1, b"\x01", 1, 2)
    assert frame["u"].dtype == pl.String
    assert asked.sql("SELECT INTERVAL 1 DAY AS x, 1 AS x").row(0) == ("1 day", 1)


def test_dates_that_python_lacks_are_texts(asked: Screen):
    frame = asked.sql("SELECT DATE 'infinity' AS a, TIMESTAMP '290000-01-01' AS b, DATE '2020-02-29' AS c")
    assert frame.row(0) == ("infinity", "290000-01-01 00:00:00", dt.date(2020, 2, 29))
