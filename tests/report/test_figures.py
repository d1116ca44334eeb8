from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoprint.errors import UsageError
from phenoprint.plates import PlateFormat
from phenoprint.report import figures
from phenoprint.report.figures.doses import dose_ticks
from phenoprint.report.figures.plates import robust_limits
from phenoprint.report.figures.theme import CATEGORICAL, category_styles, plain


def plate(n: int = 96) -> pl.DataFrame:
    wells = PlateFormat.of(n).wells()
    return pl.DataFrame({"Metadata_Well": [str(w) for w in wells], "v": [100.0 * w.row + w.col for w in wells]})


@pytest.mark.parametrize("n", [6, 96, 384, 1536])
def test_every_well_is_drawn_at_its_position_on_the_plate(n: int) -> None:
    frame = plate(n).sample(fraction=1.0, shuffle=True, seed=1)
    grid = figures.plate_grid(frame, "v", plate_format=n)
    shape = PlateFormat.of(n)
    assert grid.shape == (shape.rows, shape.columns)
    np.testing.assert_array_equal(grid, np.add.outer(100.0 * np.arange(shape.rows), np.arange(shape.columns)))


def test_the_heat_map_draws_a01_top_left_and_names_wells() -> None:
    figure = figures.plate_heatmap(plate(384), "v")
    trace = figure.data[0]
    low, high = figure.layout.yaxis.range
    assert low > high, "rows run downwards"
    assert (trace.x[0], trace.y[0], trace.z[0][0]) == (1, 1, 0.0)
    assert trace.z[15][23] == 1523.0
    assert trace.text[0][0].startswith("<b>A01</b>")
    assert trace.text[15][23].startswith("<b>P24</b>")
    assert list(figure.layout.yaxis.ticktext)[:2] == ["A", "B"]


def test_wells_without_a_value_stay_empty() -> None:
    frame = pl.DataFrame({"Metadata_Well": ["a1", "H12", "B2"], "v": [1, None, 3]})
    grid = figures.plate_grid(frame, "v")
    assert grid[0, 0] == 1
    assert grid[1, 1] == 3
    assert np.isnan(grid[7, 11])
    assert np.isfinite(grid).sum() == 2


def test_two_rows_of_a_well_and_wells_off_the_plate_are_refused() -> None:
    twice = pl.DataFrame({"Metadata_Well": ["A01", "A1"], "v": [1.0, 2.0]})
    with pytest.raises(UsageError, match="more than one"):
        figures.plate_grid(twice.with_columns(Metadata_Well=pl.lit("A01")), "v")
    with pytest.raises(UsageError, match="more than one"):
        figures.plate_grid(twice, "v")
    with pytest.raises(UsageError, match="P24 lie outside"):
        figures.plate_grid(pl.DataFrame({"Metadata_Well": ["P24"], "v": [1.0]}), "v", plate_format=96)


@given(st.lists(st.floats(-1e6, 1e6), max_size=50))
def test_limits_are_a_range(values: list[float]) -> None:
    low, high = robust_limits(np.array([*values, np.nan]))
    assert low < high


def test_one_absurd_well_does_not_stretch_the_scale() -> None:
    values = np.append(np.linspace(0, 1, 383), 1e9)
    assert robust_limits(values)[1] < 2


def test_no_two_categories_look_the_same() -> None:
    assert len(set(category_styles([str(i) for i in range(64)]))) == 64


def test_neighbouring_colours_differ_for_readers_without_red_or_green() -> None:
    # Machado, Oliveira and Fernandes 2009, severity 1: protanopia, deuteranopia
    simulations = [
        np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
        np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    ]
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in CATEGORICAL])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    for simulation in simulations:
        seen = np.clip(linear @ simulation.T, 0, 1) ** (1 / 2.2)
        distance = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
        assert distance[np.triu_indices(len(seen), 1)].min() > 0.15


def wells() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "Metadata_Plate": ["P1"] * 4 + ["P2"] * 4,
            "Metadata_Well": ["A01", "A02", "A03", "A04"] * 2,
            "Metadata_pert_type": ["negcon", "negcon", "poscon", "trt"] * 2,
            "v": [0.0, 0.2, 5.0, 2.0, 0.1, None, 6.0, 2.5],
        }
    )


def test_controls_are_split_by_kind_and_plate() -> None:
    negative, positive = figures.control_separation(wells(), "v").data
    assert list(negative.x) == ["P1", "P1", "P2"], "the missing value is left out"
    assert list(negative.y) == [0.0, 0.2, 0.1]
    assert list(positive.y) == [5.0, 6.0]
    assert list(positive.text) == ["A03", "A03"]


def test_separation_keeps_the_order_of_the_features() -> None:
    frame = pl.DataFrame(
        {"Metadata_Plate": ["P2", "P1", "P1"], "feature": ["b", "b", "a"], "robust_z_prime": [0.2, 0.9, None]}
    )
    trace = figures.separation_matrix(frame).data[0]
    assert list(trace.y) == ["b", "a"]
    assert list(trace.x) == ["P1", "P2"]
    np.testing.assert_array_equal(trace.z, [[0.9, 0.2], [np.nan, np.nan]])


def test_activity_splits_at_the_threshold() -> None:
    frame = pl.DataFrame({"t": ["a", "b", "c"], "m": [0.1, 0.9, None], "q": [0.5, 0.01, 0.01]})
    quiet, active = figures.activity_scatter(frame, score="m", p="q", name="t").data
    assert (list(quiet.text), list(active.text)) == (["a"], ["b"])
    assert active.y[0] == pytest.approx(2)


def points(n: int = 30) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "Metadata_Plate": ["P1"] * n,
            "Metadata_Well": [f"A{i:02d}" for i in range(1, n + 1)],
            "x": rng.normal(size=n),
            "y": rng.normal(size=n),
            "moa": ["DMSO"] * 10 + ["<b>a</b>"] * 8 + ["b"] * 6 + ["c"] * 4 + [None] * 2,
            "dose": [0.0] * 10 + [0.1] * 10 + [10.0] * 10,
        }
    )


def test_umap_shows_every_well_once_whatever_the_colouring() -> None:
    frame = points()
    for colour, options in (("moa", {"quiet": ["DMSO"], "most": 2}), ("dose", {"logarithmic": True}), ("dose", {})):
        figure = figures.umap_scatter(frame, colour, **options)
        rows = [row for trace in figure.data for row in trace.customdata]
        assert sorted(rows) == list(range(30))
        for trace in figure.data:
            np.testing.assert_allclose(trace.x, frame["x"].to_numpy()[list(trace.customdata)])


def test_umap_names_levels_quiet_ones_and_the_rest() -> None:
    names = [trace.name for trace in figures.umap_scatter(points(), "moa", quiet=["DMSO"], most=2).data]
    assert names == ["DMSO", "not annotated", "other (1 more)", "&lt;b>a&lt;/b>", "b"]


def test_umap_hover_is_text_and_not_markup() -> None:
    figure = figures.umap_scatter(points(), "moa", hover=["Metadata_Well", "moa"])
    texts = [text for trace in figure.data for text in trace.text]
    assert "moa: &lt;b>a&lt;/b>" in "".join(texts)
    assert "<b>a" not in "".join(texts)


def test_replicates_and_null_are_drawn_with_the_bar() -> None:
    figure = figures.replicate_histogram([0.9, 0.8], [0.0, 0.1, -0.1], threshold=0.3)
    assert [len(trace.x) for trace in figure.data] == [3, 2]
    assert figure.layout.shapes[0].x0 == 0.3


def test_confusion_counts_by_truth_and_call() -> None:
    frame = pl.DataFrame({"Metadata_moa": ["a", "a", "a", "b", None], "predicted": ["a", "a", "b", None, "a"]})
    trace = figures.confusion(frame).data[0]
    assert list(trace.y) == ["a", "b"]
    assert list(trace.x) == ["a", "b", "no call"]
    np.testing.assert_array_equal(trace.customdata, [[2, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(np.sum(trace.z, axis=1), 1)


def test_scores_carry_intervals_where_there_are_any() -> None:
    rows = [("a", "p", 0.8, 0.7, 0.85), ("a", "q", 0.1, None, None), ("b", "p", 0.5, None, None)]
    frame = pl.DataFrame(rows, schema=["name", "baseline", "value", "low", "high"], orient="row")
    profiles, other = figures.score_dots(frame, ["p", "q", "r"]).data
    assert (list(profiles.y), list(other.y)) == (["a", "b"], ["a"])
    np.testing.assert_allclose(profiles.error_x.array, [0.05, 0])
    np.testing.assert_allclose(profiles.error_x.arrayminus, [0.1, 0])
    np.testing.assert_allclose(other.error_x.array, [0])


def test_doses_are_logarithmic_and_controls_are_a_level() -> None:
    frame = pl.DataFrame(
        {
            "Metadata_compound": ["c", "c", "c", "c", "DMSO"],
            "Metadata_Concentration": [10.0, 1.0, 1.0, 0.0, None],
            "v": [3.0, 1.0, 2.0, 9.0, 0.0],
        }
    )
    line, dots = figures.dose_response(frame, "v", reference=0.5).data
    assert (list(line.x), list(line.y)) == ([1.0, 10.0], [1.5, 3.0])
    assert list(dots.x) == [1.0, 1.0, 10.0]
    curves = pl.DataFrame({"Metadata_compound": ["c", "c"], "Metadata_Concentration": [1.0, 9.0], "v": [1.0, 2.0]})
    assert list(figures.dose_response(frame, "v", curves=curves).data[0].x) == [1.0, 9.0]


@pytest.mark.parametrize(("low", "high"), [(0.3, 80), (0.001, 100), (1, 1), (1e-9, 1e-3), (2, 5), (0.02, 0.9)])
def test_dose_marks_are_written_one_way_and_hold_the_doses(low: float, high: float) -> None:
    ticks = dose_ticks(pl.Series([low, high, 0.0, None], dtype=pl.Float64))
    values, texts = ticks["tickvals"], [str(text) for text in ticks["ticktext"]]
    assert values[0] <= low <= high <= values[-1]  # type: ignore[operator]
    assert len({"<sup>" in text for text in texts}) == 1
    assert not any("e" in text for text in texts)
    assert len(values) >= 2 or low == high
    assert dose_ticks(pl.Series([0.0])) == {}


def test_positive_controls_get_a_box_a_compound() -> None:
    frame = wells().with_columns(
        compound=pl.Series(["DMSO", "DMSO", "<b>", None, "DMSO", "DMSO", "z", None], dtype=pl.String)
    )
    traces = figures.control_separation(frame, "v", split="compound").data
    assert [trace.name for trace in traces] == ["negative control", "&lt;b>", "z"]
    assert [list(trace.y) for trace in traces[1:]] == [[5.0], [6.0]]
    assert len({trace.offsetgroup for trace in traces}) == 3


def test_the_waterfall_is_in_percent_of_what_came_in_and_in_the_order_asked() -> None:
    ledger = pl.DataFrame(
        {
            "Metadata_Plate": ["P"] * 4,
            "Metadata_Well": ["A01", "A01", "A02", "A01"],
            "step": ["aggregate", "aggregate", "aggregate", "segment"],
            "unit_of_count": ["cells"] * 3 + ["sites"],
            "n_in": [10, 10, 10, 4],
            "n_out": [7, 7, 9, 4],
            "n_lost": [2, 1, 1, 0],
            "reason": ["border", "<i>small", "border", None],
        }
    )
    figure = figures.ledger_waterfall(ledger, order=["segment", "aggregate"])
    assert list(figure.layout.yaxis.categoryarray) == ["aggregate (cells)", "segment (sites)"]
    assert {trace.name: trace.x[0] for trace in figure.data} == {"border": 15.0, "&lt;i>small": 5.0}


def test_features_kept_are_counted_by_family_and_channel() -> None:
    frame = pl.DataFrame({"family": ["Texture", "AreaShape"], "channel": ["DNA", "–"], "n": [4, 2], "n_kept": [1, 2]})
    trace = figures.feature_survival(frame).data[0]
    assert list(trace.y) == ["AreaShape", "Texture"]
    assert list(trace.x) == ["DNA", "–"]
    np.testing.assert_array_equal(trace.z, [[np.nan, 1.0], [0.25, np.nan]])


@pytest.mark.parametrize("make", [figures.plate_heatmap, figures.control_separation])
def test_figures_leave_their_input_alone(make: object) -> None:
    frame = wells().filter(pl.col("Metadata_Plate") == "P1")
    before = frame.clone()
    make(frame, "v")  # type: ignore[operator]
    assert frame.equals(before)


def test_names_cannot_become_links_in_a_figure() -> None:
    assert plain('<a href="http://x">y</a>').startswith("&lt;a ")


def test_step_scores_are_drawn_in_order_and_only_where_there_is_a_value() -> None:
    rows = [
        ("select", 2, "batch_mixing", 0.9),
        ("level3", 0, "batch_mixing", 0.2),
        ("normalize", 1, "batch_mixing", 0.5),
        ("level3", 0, "moa_consistency", None),
        ("level3", 0, "n_features", 40.0),
    ]
    scores = pl.DataFrame(rows, schema=["step", "number", "score", "value"], orient="row")
    figure = figures.step_scores(scores)
    assert [trace.name for trace in figure.data] == ["batches mixed"]
    assert list(figure.data[0].x) == ["level3", "normalize", "select"]
    assert list(figure.data[0].y) == [0.2, 0.5, 0.9]
    assert list(figure.layout.xaxis.categoryarray) == ["level3", "normalize", "select"]
    assert len(figures.step_scores(scores, only=("n_features",)).data) == 1
    titled = figures.step_scores(scores, title="Steps").layout
    assert titled.showlegend, "a single line has a name, too"
    assert titled.legend.x > 1, "beside the lines: above them is the title"
