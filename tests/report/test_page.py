from __future__ import annotations

import base64
import errno
import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import DamagedTableError, ScreenError
from phenoprint.report import ReportSource, render_report, write_report
from phenoprint.report.context import Page
from phenoprint.report.page import _cells, _features, _sites
from phenoprint.report.sections import SECTIONS
from phenoprint.report.sections.doses import curve_points
from phenoprint.report.summaries.doses import AXIS_DOSE

NOW = datetime(2026, 3, 2, 10, 4, tzinfo=UTC)
VOID = {"meta", "br", "img", "input", "link", "hr"}
HOSTILE = '<b>α-"Tubulin"</b> & </script><script>alert(1)</script>'


class ParsedPage(HTMLParser):
    """Structure and text of the page; complains about elements that are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.data: dict[str, Any] = {}
        self.sections: dict[str, str] = {}
        self.styles: list[str] = []
        self.scripts = 0
        self._island: str | None = None
        self._buffer = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if values.get("id"):
            self.ids.append(str(values["id"]))
        self.addresses += [str(values[key]) for key in ("src", "href", "action", "poster", "srcset") if key in values]
        if tag == "script":
            self.scripts += 1
            self._island, self._buffer = values.get("id"), ""
        if tag == "section":
            self.sections[str(values["id"])] = ""

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag
        if tag == "script" and self._island:
            self.data[self._island.removeprefix("data-")] = json.loads(self._buffer)
            self._island = None

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self._buffer += data
        elif self.open[-1:] == ["style"]:
            self.styles.append(data)
        elif "section" in self.open:
            self.sections[list(self.sections)[-1]] += data


@pytest.fixture(scope="module")
def text(small_source: Any) -> str:
    return render_report(small_source, now=NOW)


@pytest.fixture(scope="module")
def page(text: str) -> ParsedPage:
    return ParsedPage(text)


def test_the_page_is_balanced_and_every_section_is_there(page: ParsedPage, text: str) -> None:
    assert list(page.sections) == [entry.id for entry in SECTIONS]
    assert len(page.ids) == len(set(page.ids))
    for section in page.sections:
        assert f'href="#{section}"' in text
    for body in page.sections.values():
        assert "is not in this screen" not in body


def test_the_page_loads_nothing_from_the_network(page: ParsedPage) -> None:
    assert page.addresses
    assert all(address.startswith(("#", "data:image/")) for address in page.addresses)
    styles = "".join(page.styles)
    assert "url(" not in styles
    assert "@import" not in styles


def test_the_content_policy_forbids_the_network_and_no_button_sends_data(text: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'")
    assert "http" not in policy[1]
    options = re.search(r"const options = \{(.*?)\};", text)
    assert options is not None
    assert 'modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]]' in options[1]
    assert 'plotlyServerURL: ""' in options[1]


def test_plotly_is_there_once_and_the_rest_is_small(text: str) -> None:
    from plotly.offline import get_plotlyjs

    plotly = get_plotlyjs()
    assert text.count(plotly[:2000]) == 1
    assert len(text.encode()) - len(plotly.encode()) < 8_000_000


def test_hostile_names_stay_text(page: ParsedPage, text: str) -> None:
    assert page.scripts == len(page.data) + 2
    assert "<script>alert" not in text
    assert "<b>α" not in text
    assert HOSTILE in page.sections["hits"]
    assert HOSTILE in page.sections["cells"]
    assert "<page 3>" in page.sections["losses"]
    figures = json.dumps(page.data["figures"], ensure_ascii=False)
    assert "<b>α" not in figures
    assert "&lt;b>α" in figures


def test_wells_are_at_their_positions_with_their_values(page: ParsedPage, small_source: Any) -> None:
    wells = page.data["wells"]
    assert [(p["name"], p["rows"], p["columns"]) for p in wells["plates"]] == [("SIM-01", 8, 12), ("SIM-02", 8, 12)]
    row = next(i for i, (p, w) in enumerate(zip(wells["plate"], wells["well"], strict=True)) if (p, w) == (1, "C04"))
    assert wells["at"][row] == 2 * 12 + 3
    cells = next(m for m in page.data["measures"] if m["label"] == "Cell count")
    truth = small_source.frames["profile_well"].filter(Metadata_Plate="SIM-02", Metadata_Well="C04")
    assert cells["raw"][row] == truth["Metadata_Object_Count"][0]
    assert wells["well"][0] == "A01"
    missing = wells["well"].index("B02")
    assert cells["raw"][missing] is None
    flag = wells["flag"]
    assert flag["levels"][flag["codes"][missing]] == "in the plate map but without images"


def test_features_are_there_raw_and_normalized(page: ParsedPage, small_source: Any) -> None:
    both = [m for m in page.data["measures"] if m["raw"] and m["norm"]]
    assert len(both) >= 10
    name = both[0]["label"]
    row = page.data["wells"]["well"].index("A01")
    frame = small_source.frames["profile_normalized"].filter(Metadata_Plate="SIM-01", Metadata_Well="A01")
    assert both[0]["norm"][row] == pytest.approx(frame[name][0], rel=1e-3)
    assert "Normalized: 0 is" in render_script()


def render_script() -> str:
    from phenoprint.report.page import SCRIPTS, _asset

    return "".join(_asset(name) for name in SCRIPTS)


def test_pictures_of_wells_are_inside(page: ParsedPage) -> None:
    thumbnails = page.data["thumbnails"]
    assert len(thumbnails) == 190
    assert base64.b64decode(thumbnails["0"]).startswith(b"\xff\xd8\xff")


def test_the_projection_is_stored_once_for_all_colourings(page: ParsedPage) -> None:
    pool = page.data["projection"]
    assert len(pool["x"]) == 192
    drawn = [figure for figure in page.data["figures"].values() if figure.get("pool") == "projection"]
    assert len(drawn) >= 5
    for figure in drawn:
        assert sorted(row for trace in figure["data"] for row in trace["rows"]) == list(range(192))
        assert all("x" not in trace for trace in figure["data"])


def test_clusters_are_listed_with_what_they_share(page: ParsedPage) -> None:
    body = page.sections["clusters"]
    assert "are in 3 clusters; 4 inactive treatments were not clustered." in body
    assert "beyond chance. 3: plate SIM-02 (5 of 6)." in body
    assert f"{HOSTILE} (4 of 5)" in body
    assert " +2.5" in body
    colourings = [figure for figure in page.data["figures"].values() if figure.get("pool") == "treatments"]
    names = {trace["name"] for trace in colourings[0]["data"]}
    assert names == {"no cluster", "1", "2", "3"}
    assert len(colourings) >= 4


def test_the_verdict_names_the_plate_and_the_reason(page: ParsedPage) -> None:
    verdict = page.sections["verdict"]
    assert "Of 2 plates: 1 pass, 1 to look at closely." in verdict
    assert "outer wells hold 18 % fewer cells than the inside" in verdict


def test_baselines_are_shown_beside_the_accuracy(page: ParsedPage, small_source: Any) -> None:
    body = page.sections["mechanisms"]
    accuracy = small_source.frames["score"]["value"][0]
    assert f"{100 * accuracy:.3g} %" in body
    assert "more than cell count alone, the best baseline" in body
    names = {trace.get("name") for figure in page.data["figures"].values() for trace in figure["data"]}
    assert {"profiles", "cell count alone", "well position alone", "shuffled labels"} <= names


def test_accuracy_that_a_baseline_may_reach_is_a_notice(small_source: Any) -> None:
    scores = small_source.frames["score"].with_columns(
        gain_low=pl.when(pl.col("baseline") == "none").then(-0.02),
        best_baseline=pl.when(pl.col("baseline") == "none").then(pl.lit("well_position")),
    )
    source = type(small_source)(small_source.path, frames=small_source.frames | {"score": scores})
    body = ParsedPage(render_report(source)).sections["mechanisms"]
    assert "Well position alone may do as well as the profiles" in body


def test_calls_that_cannot_be_made_show_the_reason(small_source: Any) -> None:
    calls = small_source.frames["moa_call"].with_columns(
        status=pl.when(pl.col("status") == "called").then(pl.lit("too few references")).otherwise("status"),
        reason=pl.lit("no treatment has a mechanism"),
    )
    body = ParsedPage(render_report(with_frames(small_source, moa_call=calls))).sections["mechanisms"]
    assert "No mechanism is called: no treatment has a mechanism." in body


def test_a_share_of_two_treatments_is_no_headline(small_source: Any, page: ParsedPage) -> None:
    few = pl.DataFrame(
        {
            "score": ["moa_accuracy", "moa_accuracy"],
            "baseline": ["none", "shuffled_labels"],
            "value": [1.0, 0.2],
            "n": [2, 2],
            "n_total": [339, 339],
            "is_headline": [False, False],
        }
    )
    agreement = small_source.frames["replicate_agreement"].drop_nulls("is_reproducible").head(2)
    weak = ParsedPage(render_report(with_frames(small_source, score=few, replicate_agreement=agreement)))
    text = weak.sections["mechanisms"]
    assert "No accuracy: only 2 of 339 treatments could be compared, and 10 are needed" in text
    assert "100 %" not in text
    assert "baseline" not in text
    assert "Too few for a share: 2 of " in weak.sections["replicates"]
    many = few.with_columns(n=pl.lit(120), is_headline=pl.lit(value=True))
    strong = ParsedPage(render_report(with_frames(small_source, score=many))).sections["mechanisms"]
    assert "For 100 % of the 120 of 339 treatments that could be compared, the nearest other compound" in strong
    steps = page.sections["steps"]
    assert "24 of 30 treatments" in steps
    assert "2 of 30 treatments too few" in steps
    drawn = {trace["name"] for figure in page.data["figures"].values() for trace in figure["data"] if "name" in trace}
    assert "treatments distinguished from controls" in drawn
    assert "mechanisms found again" not in drawn


def test_every_section_of_a_screen_without_tables_gives_the_reason(empty_source: Any) -> None:
    page = ParsedPage(render_report(empty_source, now=NOW))
    assert list(page.sections) == [entry.id for entry in SECTIONS]
    for name, words in {
        "verdict": "'plate_acceptance' is not in this screen",
        "hits": "'activity' is not in this screen",
        "plates": "No table of this screen lists a well",
        "controls": "The plate map has no negative and no positive controls",
        "replicates": "'replicate_agreement' is not in this screen",
        "projection": "'projection' is not in this screen",
        "clusters": "'cluster' is not in this screen",
        "mechanisms": "'moa_call' is not in this screen",
        "doses": "'dose_response' is not in this screen",
        "heterogeneity": "'heterogeneity' is not in this screen",
        "cells": "'gallery' is not in this screen",
        "losses": "'ledger' is not in this screen",
        "features": "Neither profiles nor the feature dictionary",
        "making": "The screen has no tables yet",
    }.items():
        assert words in page.sections[name], name


def test_sections_with_nothing_to_show_fold_into_one_line(empty_source: Any, text: str, page: ParsedPage) -> None:
    bare = render_report(empty_source, now=NOW)
    lines = re.findall(r'<section id="(\w+)"[^>]* class="none"><details><summary>', bare)
    assert lines == [name for name in page.sections if name not in ("verdict", "making")]
    assert "Nothing to show: The table 'activity' is not in this screen." in ParsedPage(bare).sections["hits"]
    assert re.findall(r'<a href="#(\w+)"', bare.split("<nav")[1].split("</nav>")[0]) == ["verdict", "making"]
    assert 'class="none"' not in text


def test_a_handful_of_wells_is_listed_and_a_plate_is_drawn(source_factory: Any, tmp_path: Path) -> None:
    whole = source_factory(tmp_path, plates=1, n=96, features=30)
    five = ["A01", "A02", "B02", "C05", "E06"]
    frames = {
        name: frame.filter(pl.col("Metadata_Well").is_in(five)) if "Metadata_Well" in frame.columns else frame
        for name, frame in whole.frames.items()
    }
    hostile = pl.when(pl.col("Metadata_Well") == "A02").then(pl.lit(HOSTILE)).otherwise("Metadata_compound")
    frames["well"] = frames["well"].with_columns(hostile.alias("Metadata_compound"))
    text = render_report(type(whole)(whole.path, frames=frames), now=NOW)
    page = ParsedPage(text)
    lead = "5 wells of plate SIM-01, listed because a map would be nearly empty."
    assert page.sections["plates"].startswith(f"The wells{lead}")
    assert "wells" not in page.data
    assert HOSTILE in page.sections["plates"]
    assert page.sections["plates"].count("excluded: fibre <in> the field") == 1
    assert text.count('<img src="data:image/jpeg') >= 4
    drawn = ParsedPage(render_report(whole, now=NOW))
    assert len(drawn.data["wells"]["well"]) == 96
    assert "too few for a map" not in drawn.sections["plates"]


def test_wells_that_only_the_plate_map_names_are_not_counted_as_profiles(tiny_source: Any) -> None:
    few = (
        tiny_source.frames["profile_well"]
        .head(7)
        .with_columns(Metadata_Object_Count=pl.when(pl.int_range(7) == 0).then(0).otherwise("Metadata_Object_Count"))
    )
    text = render_report(with_frames(tiny_source, profile_well=few))
    assert "<b>6</b>" in text.split("</header>")[0]
    assert "48 have images or are in the plate map" in text
    assert "wells with profiles6 of 48" in ParsedPage(text).sections["verdict"]


def test_a_pass_lists_how_many_checks_could_be_made(small_source: Any) -> None:
    def lead(*verdicts: str | None) -> str:
        rows = [("P1", f"check {i}", 0.1, 0.3, verdict, "too few wells") for i, verdict in enumerate(verdicts)]
        columns = ["Metadata_Plate", "criterion", "value", "threshold", "verdict", "reason"]
        checks = pl.DataFrame(rows, schema=columns, orient="row")
        frames = {"plate_acceptance": checks, "plate": pl.DataFrame({"Metadata_Plate": ["P1"]})}
        return ParsedPage(render_report(type(small_source)(small_source.path, frames=frames))).sections["verdict"]

    assert "The plate passes every check that could be made: 2 of 5." in lead("pass", "pass", *[None] * 3)
    assert "The plate passes every check." in lead("pass", "pass")


def test_a_hit_table_has_no_column_without_values(tiny_source: Any) -> None:
    def heads(source: Any) -> list[str]:
        table = render_report(source).split('id="hits-table"')[1].split("</thead>")[0]
        return re.findall(r'<th[^>]*scope="col">(?:<span[^>]*>)?([^<]+)', table)

    assert heads(tiny_source) == ["Treatment", "Mechanism", "mAP", "norm. mAP", "q", "smallest p", "Cells", "n"]
    nothing = pl.lit(None, dtype=pl.String).alias("Metadata_moa")
    frames = {n: f.with_columns(nothing) for n, f in tiny_source.frames.items() if "Metadata_moa" in f.columns}
    counts = tiny_source.frames["profile_well"].drop("Metadata_Object_Count").drop("Metadata_moa", strict=False)
    bare = with_frames(tiny_source, **(frames | {"profile_well": counts}))
    assert heads(bare) == ["Treatment", "mAP", "norm. mAP", "q", "smallest p", "n"]


def test_of_many_plates_those_that_pass_are_folded_and_the_others_come_first(small_source: Any) -> None:
    verdicts = ["pass"] * 6 + ["fail", "warn"]
    checks = pl.DataFrame(
        [(f"P{i}", "edge_effect", 0.1, 0.3, verdict, None) for i, verdict in enumerate(verdicts)],
        schema=["Metadata_Plate", "criterion", "value", "threshold", "verdict", "reason"],
        orient="row",
    )
    plates = pl.DataFrame({"Metadata_Plate": checks["Metadata_Plate"]})
    text = render_report(type(small_source)(small_source.path, frames={"plate_acceptance": checks, "plate": plates}))
    verdict = text.split('<section id="verdict"')[1].split("</section>")[0]
    fold = verdict.index("<summary>6 plates: pass</summary>")
    at = [verdict.index(f"<h3>P{i}</h3>") for i in (6, 7, 0)]
    assert at[0] < at[1] < fold < at[2]


def spoil(frame: pl.DataFrame, kind: str) -> pl.DataFrame:
    return frame.clear() if kind == "empty" else pl.DataFrame({"unrelated": [1]})


@pytest.fixture
def tiny_source(source_factory: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One plate and few features; plotly.js is left out, which is most of the time a page takes to read."""
    monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: "")
    return source_factory(tmp_path, plates=1, n=48, features=30, pictures=False)


def test_any_one_table_may_be_missing_empty_or_strange(tiny_source: Any) -> None:
    for i, (name, frame) in enumerate(tiny_source.frames.items()):
        frames = dict(tiny_source.frames)
        kind = ("absent", "empty", "strange")[i % 3]
        if kind == "absent":
            frames.pop(name)
        else:
            frames[name] = spoil(frame, kind)
        page = ParsedPage(render_report(type(tiny_source)(tiny_source.path, frames=frames)))
        assert len(page.sections) == len(SECTIONS), (name, kind)


@pytest.mark.parametrize("kind", ["empty", "strange"])
def test_all_tables_may_be_empty_or_strange(tiny_source: Any, kind: str) -> None:
    frames = {name: spoil(frame, kind) for name, frame in tiny_source.frames.items()}
    page = ParsedPage(render_report(type(tiny_source)(tiny_source.path, frames=frames)))
    for name in ("hits", "plates", "controls", "replicates", "projection", "mechanisms", "doses"):
        assert "Nothing to show: " in page.sections[name]


def test_values_that_are_missing_or_nan_do_not_break_the_page(tiny_source: Any) -> None:
    frames = dict(tiny_source.frames)
    for name, frame in frames.items():
        floats = [c for c, t in frame.schema.items() if t in (pl.Float32, pl.Float64)]
        frames[name] = frame.with_columns(
            pl.when(pl.int_range(pl.len()) % 3 == 0).then(float("nan")).otherwise(pl.col(c)).alias(c) for c in floats
        )
    source = type(tiny_source)(tiny_source.path, frames=frames)
    page = ParsedPage(render_report(source))
    assert "NaN" not in json.dumps(page.data)
    assert "nan" not in page.sections["verdict"]


def test_odd_plate_names_and_unreadable_pictures(source_factory: Callable[..., Any], tmp_path: Path) -> None:
    source = source_factory(tmp_path, plates=1, pictures=True)
    name = "plate <é>/1"
    rename = pl.when(pl.col("Metadata_Plate").is_not_null()).then(pl.lit(name)).alias("Metadata_Plate")
    source.frames = {
        k: f.with_columns(rename) if "Metadata_Plate" in f.columns else f for k, f in source.frames.items()
    }
    (tmp_path / "thumbnails" / "SIM-01").rename(tmp_path / "thumbnails" / "plate%20%3C%C3%A9%3E%2F1")
    (tmp_path / "thumbnails" / "plate%20%3C%C3%A9%3E%2F1" / "A01.jpg").write_bytes(b"")
    broken = pl.when(pl.col("rank") == 0).then(pl.lit(b"no picture")).otherwise(pl.col("crop")).alias("crop")
    source.frames["gallery"] = source.frames["gallery"].with_columns(broken)
    page = ParsedPage(render_report(source))
    assert "plate <é>/1" in page.sections["verdict"]
    assert len(page.data["thumbnails"]) == 94
    assert "1 pictures in 'thumbnails' cannot be read" in page.sections["plates"]


def test_a_384_well_plate_with_pictures_fits(source_factory: Callable[..., Any], tmp_path: Path) -> None:
    from plotly.offline import get_plotlyjs

    source = source_factory(tmp_path, plates=1, n=384)
    text = render_report(source)
    size = len(text.encode()) - len(get_plotlyjs().encode())
    assert size < 8_000_000
    page = ParsedPage(text)
    assert page.data["wells"]["plates"][0]["rows"] == 16
    assert len(page.data["thumbnails"]) == 383


def test_writing_puts_a_whole_file_where_asked(small_source: Any, tmp_path: Path) -> None:
    assert isinstance(small_source, ReportSource)
    frames = {"well": small_source.frames["well"]}
    source = type(small_source)(tmp_path, name="Ω <screen>", frames=frames)
    default = write_report(source, now=NOW)
    assert default == tmp_path / "report" / "index.html"
    assert "<title>Ω &lt;screen&gt; · Phenoprint report</title>" in default.read_text("utf-8")
    assert "2 March 2026, 10:04" in default.read_text("utf-8")
    assert write_report(source, output=tmp_path) == tmp_path / "report.html"
    named = write_report(source, output=str(tmp_path / "new" / "page.html"), now=NOW)
    assert named.read_bytes() == default.read_bytes()
    assert sorted(p.name for p in named.parent.iterdir()) == ["page.html"]


def test_a_place_that_cannot_be_written_is_our_error_with_another_way(
    small_source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = type(small_source)(tmp_path / "screen", frames={"well": small_source.frames["well"]})
    source.path.mkdir()
    open_file = Path.open

    def read_only(self: Path, *args: Any, **options: Any) -> Any:
        if source.path in self.parents:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return open_file(self, *args, **options)

    monkeypatch.setattr(Path, "open", read_only)
    with pytest.raises(ScreenError, match=r"cannot write .*report/index\.html: .*Read-only file system.* -o FILE"):
        write_report(source)
    (source.path / "report").rmdir()
    assert write_report(source, output=tmp_path / "elsewhere.html").stat().st_size > 1000
    assert not list(source.path.iterdir())
    with pytest.raises(ScreenError, match=r"cannot write .*elsewhere\.html/page\.html"):
        write_report(source, output=tmp_path / "elsewhere.html" / "page.html")


def test_a_damaged_table_is_named_and_the_other_sections_are_there(small_source: Any) -> None:
    class Hurt(type(small_source)):  # type: ignore[misc]
        def table(self, name: str) -> pl.LazyFrame:
            if name == "activity":
                raise DamagedTableError("tables/activity/activity.parquet", "it has no footer", table=name)
            return super().table(name)  # type: ignore[no-any-return]

    keep = ("well", "plate", "activity", "image_quality", "plate_acceptance")
    frames = {name: frame for name, frame in small_source.frames.items() if name in keep}
    page = render_report(Hurt(small_source.path, frames=frames))
    header = page.partition("<nav")[0]
    assert "A table is left out: " in header
    assert "is damaged: tables/activity/activity.parquet (it has no footer). Run the screen again" in header
    assert page.count("is damaged: tables/activity/activity.parquet") > 1
    assert "verdict" in ParsedPage(page).sections


def test_the_same_screen_gives_the_same_page(small_source: Any, text: str) -> None:
    assert render_report(small_source, now=NOW) == text


def test_steps_of_the_ledger_are_in_the_order_of_a_run(text: str) -> None:
    page = text[text.index('id="losses"') :]
    rows = page[page.index("In, out and lost by step") :].partition("</table>")[0]
    found = list(dict.fromkeys(re.findall(r"<b>([^<]+)</b>", rows)))
    assert found == ["ingest", "segment", "aggregate", "normalize", "select"]


def test_fitted_curves_lie_between_the_given_doses_with_a_band_and_marks() -> None:
    shape = {"model": "hill3", "slope": 2.0, "bottom": 0.0, "top": 4.0, "gain_dose": 1.0}
    noise = {"level": 0.0, "noise": 0.2, "residual": 0.2, "n_controls": 16, "lowest_dose": 0.01, "highest_dose": 100.0}
    marked = {"ec50": 1.0, "ec50_low": 0.5, "ec50_high": None, "bmd": None, "bmd_low": None, "bmd_high": None}
    fits = [{"Metadata_compound": "c"} | shape | noise | marked, {"Metadata_compound": "d", "model": None} | marked]
    doses = [0.01, 0.1, 1.0, 10.0, 100.0]
    wells = pl.DataFrame({"Metadata_compound": ["c"] * 5, AXIS_DOSE: doses, "response": [0.1, 0.0, 2.1, 3.9, 4.0]})
    curve, marks = curve_points(pl.DataFrame(fits, infer_schema_length=None), wells, n=3)
    assert curve["Metadata_compound"].unique().to_list() == ["c"]
    np.testing.assert_allclose(curve[AXIS_DOSE], [0.01, 1, 100])
    np.testing.assert_allclose(curve["response"], [4e-4, 2, 4], atol=1e-3)
    assert ((curve["low"] < curve["response"]) & (curve["response"] < curve["high"])).all()
    assert marks.select(AXIS_DOSE, "low", "high", "mark").rows() == [(1.0, 0.5, None, "EC50")]
    np.testing.assert_allclose(marks["response"], [2])


def with_frames(source: Any, **frames: pl.DataFrame) -> Any:
    return type(source)(source.path, frames=source.frames | frames)


def test_doses_in_two_molar_units_share_an_axis_and_others_get_their_own(small_source: Any) -> None:
    compound, dose, unit = "Metadata_compound", "Metadata_Concentration", "Metadata_Concentration_Unit"
    doses = small_source.frames["well"].filter(Metadata_pert_type="trt").group_by(compound).agg(pl.col(dose).n_unique())
    names = sorted(name for name, n in doses.iter_rows() if n == 4 and "<" not in name)[:3]
    in_nm, by_weight = pl.col(compound) == names[0], pl.col(compound) == names[1]
    rewritten = {
        name: frame.with_columns(
            *(pl.when(in_nm).then(pl.col(n) * 1000).otherwise(n).alias(n) for n in [dose] if n in frame.columns),
            pl.when(in_nm).then(pl.lit("nM")).when(by_weight).then(pl.lit("mg/mL")).otherwise(unit).alias(unit),
        )
        for name, frame in small_source.frames.items()
        if {compound, unit} <= set(frame.columns)
    }
    page = ParsedPage(render_report(with_frames(small_source, **rewritten)))
    assert "Doses given in nM are drawn in µM." in page.sections["doses"]
    drawn: dict[str, dict[str, list[float]]] = {}
    for figure in page.data["figures"].values():
        title = figure["layout"].get("xaxis", {}).get("title", {}).get("text", "")
        if title.startswith("dose ("):
            for trace in figure["data"]:
                drawn.setdefault(title, {})[trace["name"]] = trace["x"]
    assert set(drawn) == {"dose (µM)", "dose (mg/mL)"}
    assert set(drawn["dose (mg/mL)"]) == {names[1]}
    assert names[1] not in drawn["dose (µM)"]
    assert max(drawn["dose (µM)"][names[0]]) == max(drawn["dose (µM)"][names[2]]) == 10.0
    colours = [figure for figure in page.data["figures"].values() if figure.get("pool") == "projection"]
    bars = [trace["marker"].get("colorbar", {}).get("title", {}) for figure in colours for trace in figure["data"]]
    assert {"text": "dose, µM"} in bars


def test_fits_are_given_and_drawn_in_the_unit_of_the_axis(small_source: Any) -> None:
    compound, dose, unit = "Metadata_compound", "Metadata_Concentration", "Metadata_Concentration_Unit"
    fits = small_source.frames["dose_response"]
    first = fits.filter(pl.col("ec50").is_not_null(), readout="log ratio").sort("hit_call", descending=True)
    name, before = first[compound][0], first["ec50"][0]
    own = pl.col(compound) == name
    doses = [*(f"{of}{end}" for of in ("ec50", "bmd") for end in ("", "_low", "_high")), "gain_dose", "loss_dose"]
    changed = {
        table: small_source.frames[table].with_columns(
            pl.when(own).then(pl.lit("nM")).otherwise(unit).alias(unit),
            *(pl.when(own).then(pl.col(n) * 1000).otherwise(n).alias(n) for n in columns),
        )
        for table, columns in {
            "dose_response": [*doses, "lowest_dose", "highest_dose"],
            "dose_point": [dose],
        }.items()
    }
    page = ParsedPage(render_report(with_frames(small_source, **changed)))
    assert "Doses given in nM are drawn in µM." in page.sections["doses"]
    marks = [trace for f in page.data["figures"].values() for trace in f["data"] if trace.get("error_x")]
    assert any(trace.get("name") == name and trace["x"][0] == pytest.approx(before, rel=1e-6) for trace in marks)


def test_readouts_are_named_on_their_tabs(page: ParsedPage) -> None:
    assert "Cell count" in page.sections["doses"]
    assert "log ratio" in page.sections["doses"]


def test_positive_controls_are_judged_separately(small_source: Any) -> None:
    two = pl.col("Metadata_Well").str.slice(0, 1).is_in(["A", "E"]) & (pl.col("Metadata_pert_type") == "poscon")
    named = pl.when(two).then(pl.lit("taxol")).otherwise("Metadata_compound").alias("Metadata_compound")
    frames = {n: small_source.frames[n].with_columns(named) for n in ("well", "profile_well", "profile_normalized")}
    page = ParsedPage(render_report(with_frames(small_source, **frames)))
    text = page.sections["controls"]
    assert "2 compounds are positive controls, each judged separately." in text
    assert "is separated best" in text
    boxes = [figure["data"] for figure in page.data["figures"].values() if figure["data"][0].get("type") == "box"]
    assert {tuple(trace["name"] for trace in data) for data in boxes} == {("negative control", "nocodazole", "taxol")}


def test_replicates_are_listed_as_the_tables_hold_them(small_source: Any, page: ParsedPage) -> None:
    stored = small_source.frames["replicate_agreement"]
    n, passing = stored["is_reproducible"].count(), stored["is_reproducible"].sum()
    text = page.sections["replicates"]
    assert "% of treatments replicate (percent replicating" in text
    assert f": {passing} of {n})" in text
    assert "nocodazole" in text
    unjudged = stored.with_columns(is_reproducible=pl.lit(None, dtype=pl.Boolean))
    text = ParsedPage(render_report(with_frames(small_source, replicate_agreement=unjudged))).sections["replicates"]
    assert f"{n} treatments have replicates: too few for random groups" in text


def test_hits_name_both_precisions_and_what_cannot_pass(small_source: Any) -> None:
    activity = small_source.frames["activity"]
    stuck = activity["Metadata_perturbation"][0]
    smallest = pl.when(pl.col("Metadata_perturbation") == stuck).then(0.2).otherwise(1e-4)
    source = with_frames(small_source, activity=activity.with_columns(smallest_p=smallest))
    text = ParsedPage(render_report(source)).sections["hits"]
    for words in ("mAP", "norm. mAP", "smallest p", "1 treatments, marked 'cannot pass'"):
        assert words in text
    assert text.count("cannot pass") == 2
    plain = with_frames(small_source, activity=activity.drop("mean_normalized_average_precision", "smallest_p"))
    text = ParsedPage(render_report(plain)).sections["hits"]
    assert "norm. mAP" not in text
    assert "smallest p" not in text


def test_a_pass_beyond_its_limit_has_a_reason(small_source: Any) -> None:
    reason = "rank correlation -0.53 with the row, p = 0.075, over negative controls"
    row = {"criterion": "row_cell_count", "value": 0.53, "threshold": 0.3, "verdict": "pass", "reason": reason}
    checks = pl.DataFrame([{"Metadata_Plate": "SIM-01"} | row, {"Metadata_Plate": "SIM-02"} | row | {"value": 0.1}])
    text = ParsedPage(render_report(with_frames(small_source, plate_acceptance=checks))).sections["verdict"]
    assert text.count(f"not significant: {reason}") == 1


def test_controls_on_the_map_are_called_so(small_source: Any) -> None:
    wells = small_source.frames["well"]
    kind = pl.when(pl.col("Metadata_Well") == "B03").then(pl.lit("empty")).otherwise("Metadata_pert_type")
    moa = pl.when(pl.col("Metadata_pert_type") == "trt").then("Metadata_moa")
    frame = wells.with_columns(kind.alias("Metadata_pert_type"), moa.alias("Metadata_moa"))
    page = ParsedPage(render_report(with_frames(small_source, well=frame)))
    colourings = [figure for figure in page.data["figures"].values() if figure.get("pool") == "projection"]
    sizes = {trace["name"]: len(trace["rows"]) for trace in colourings[0]["data"]}
    assert sizes["negative control"] == wells.filter(Metadata_pert_type="negcon").height
    assert sizes["positive control"] == wells.filter(Metadata_pert_type="poscon").height
    assert sizes["empty"] == 2
    assert "not annotated" not in sizes


def test_cells_found_and_cells_used_are_both_shown(small_source: Any, text: str) -> None:
    used = small_source.frames["profile_well"]["Metadata_Object_Count"].sum()
    found = pl.DataFrame({"Metadata_Plate": ["SIM-01"] * (used + 11)})
    header = render_report(with_frames(small_source, object=found)).partition("<nav")[0]
    tiles = re.findall(r'class="tile"><b>([\d,]+)</b><span[^>]*>([a-z ]+)<', header)
    assert {name: int(n.replace(",", "")) for n, name in tiles if "cells" in name} == {
        "cells found": used + 11,
        "cells in profiles": used,
    }
    assert "cells found" not in text.partition("<nav")[0]


def test_imported_counts_are_first_and_the_last_count_of_cells_is_that_of_the_run() -> None:
    from phenoprint.report.sections.losses import _order, _sentence
    from phenoprint.report.summaries.ledger import ledger_steps

    rows = {
        "Metadata_Plate": ["P"] * 2,
        "Metadata_Well": ["A01"] * 2,
        "step": ["aggregate", "import"],
        "unit_of_count": ["cells"] * 2,
        "n_in": [242, 242],
        "n_out": [240, 242],
        "n_lost": [2, 0],
        "reason": ["flagged", None],
    }
    ledger = pl.DataFrame(rows)
    context = Page(_Bare())
    steps = ledger_steps(ledger, order=_order(context, ledger))
    assert steps["step"].to_list() == ["import", "aggregate"]
    assert "Of 242 cells found, 240 reached" in _sentence(steps)


def test_the_header_omits_what_was_not_counted() -> None:
    counts = pl.DataFrame({"Metadata_Object_Count": pl.Series([None, None], dtype=pl.Int64)})
    dictionary = pl.DataFrame({"feature": ["Cells_A", "Image_B", "x"], "compartment": ["Cells", "Image", None]})
    context = Page(_Bare(profile_well=counts, feature=dictionary))
    assert _cells(context) == []
    assert _sites(context) == []
    assert _features(context) == 2, "what is measured on images is no feature of cells"


class _Bare:
    """A screen of a few tables."""

    name, path = "bare", Path()

    def __init__(self, **tables: pl.DataFrame) -> None:
        self._tables = tables

    def tables(self) -> list[str]:
        return list(self._tables)

    def table(self, name: str) -> pl.LazyFrame:
        return self._tables[name].lazy()

    def sql(self, query: str) -> pl.DataFrame:
        raise NotImplementedError(query)


def test_heterogeneity_is_shown_beside_the_controls_and_with_its_gain(small_source: Any) -> None:
    text = ParsedPage(render_report(small_source)).sections["heterogeneity"]
    for words in (
        "5 % are expected",
        "tails, without shift and spread",
        "No cell states: states are not given: halves disagree",
        "Do the columns of distributions help?",
        "precision among controls",
    ):
        assert words in text, words


def test_positive_controls_are_tabulated_and_excluded_plates_are_named(small_source: Any) -> None:
    about = {"Metadata_Plate": "SIM-01", "poscon": "up", "readout": "ratio", "n": 20, "verdict": "fail"}
    rows = [
        about
        | {"criterion": "z_prime:ratio:up", "value": -0.2, "threshold": 0.0, "is_best": True, "is_excluded": True},
        about | {"criterion": "ssmd:ratio:up", "value": 1.5, "threshold": 1.0, "verdict": "warn"},
        about | {"criterion": "z_prime:ratio:down", "poscon": "down", "value": -4.0, "verdict": None, "is_best": False},
    ]
    checks = pl.DataFrame(rows, schema_overrides={"is_excluded": pl.Boolean, "is_best": pl.Boolean})
    text = ParsedPage(render_report(with_frames(small_source, plate_acceptance=checks))).sections["verdict"]
    assert "Fail, left out" in text
    assert "1 left out before plates are pooled" in text
    assert "up (best)" in text
    assert "Separation of controls: 2 rows" in text
