"""The ranked table of hits: distance to held-out controls, with what else is known of each treatment."""

from __future__ import annotations

import polars as pl

from phenoprint.report.context import Page
from phenoprint.report.figures import hit_volcano
from phenoprint.report.html import Html, join, sql_hint, table, tag, term
from phenoprint.report.sections.terms import (
    CELL_RATIO,
    EFFECT,
    ENERGY,
    INDUCING_SHARE,
    MAP,
    REPLICATE_AGREEMENT,
)

__all__ = ["hits_line", "ranked_hits"]

SHOWN = 200
_QUERY = (
    "SELECT rank, Metadata_perturbation, status, effect, q_value, energy_q_value, replicate_similarity,\n"
    "       cell_count_relative, toxicity, inducing_share, mean_average_precision, reason\n"
    "FROM hit WHERE is_hit ORDER BY rank"
)


def hits_line(frame: pl.DataFrame) -> Html:
    """Say how many hits there are, and how many are toxic."""
    judged = frame.filter(pl.col("is_hit").is_not_null())
    hits = judged.filter("is_hit")
    n_toxic = int(hits["is_toxic"].fill_null(value=False).sum())
    toxic = f", {n_toxic} of them toxic," if n_toxic else ""
    found = f"{hits.height} of {judged.height} treatments{toxic} are further from the negative controls than chance"
    held_out = ". Controls are those that the profiles were not fitted on. "
    return join([f"{found} allows, by their ", term("distance", EFFECT), held_out])


def ranked_hits(page: Page, frame: pl.DataFrame) -> list[Html]:
    """Write the plot and the ranked table of hits.

    Parameters
    ----------
    page
        The page.
    frame
        Table ``hit`` with the column ``treatment``.
    """
    calls = page.tables.columns("moa_call", ["Metadata_perturbation", "predicted", "probability"])
    if calls is not None and calls.width == 3 and calls.height:
        frame = frame.join(calls, on="Metadata_perturbation", how="left", maintain_order="left")
    frame = frame.with_columns(_mechanism=pl.coalesce(n for n in ("Metadata_moa", "predicted") if n in frame.columns))
    ranked = frame.sort("rank")
    plot = page.figure(hit_volcano(ranked), "Effect size of each treatment against its corrected p value")
    search = tag("input", type="search", placeholder="compound or mechanism", data_filter="#hits-table")
    listed = tag("div", tag("label", "Find ", search, class_="filter"), _table(ranked.head(SHOWN)), id="hits-table")
    body = [tag("div", plot, listed, class_="split wide")]
    if ranked.height > SHOWN:
        body.append(tag("p", f"The first {SHOWN} of {ranked.height} are listed.", class_="quiet"))
    if "is_cross_fitted" in frame.columns and not frame["is_cross_fitted"].all():
        body.append(
            tag(
                "p",
                "The profiles were normalized with the same controls before, so that p values are too small.",
                class_="notice",
            )
        )
    body.append(sql_hint(_QUERY))
    return body


def _table(frame: pl.DataFrame) -> Html:
    """Write one row per treatment; columns without any value are left out."""
    columns = [
        ("Treatment", None),
        ("Mechanism", "_mechanism"),
        (term("effect", EFFECT), "effect"),
        (term("q", "p value of the effect, corrected for all treatments."), "q_value"),
        (term("q energy", ENERGY), "energy_q_value"),
        (term("agreement", REPLICATE_AGREEMENT), "replicate_similarity"),
        (term("cells", CELL_RATIO), "cell_count_relative"),
        (term("induced", INDUCING_SHARE), "inducing_share"),
        (term("mAP", MAP), "mean_average_precision"),
        ("n", "n_wells"),
    ]
    shown = [
        (title, name) for title, name in columns if name is None or (name in frame.columns and frame[name].count() > 0)
    ]
    rows = [[_cell(row, name) for _, name in shown] for row in frame.iter_rows(named=True)]
    numeric = [place for place, (_, name) in enumerate(shown) if name not in (None, "_mechanism")]
    header = [title for title, _ in shown]
    return table(header, rows, numeric=numeric, class_="sortable", caption="Treatments by effect")


_FORMATS = {
    "effect": "{:.2f}",
    "q_value": "{:.2g}",
    "energy_q_value": "{:.2g}",
    "replicate_similarity": "{:.2f}",
    "mean_average_precision": "{:.3f}",
}


def _cell(row: dict[str, object], name: str | None) -> object:
    if name is None:
        return _treatment(row)
    value = row[name]
    if value is None:
        return None
    if name == "cell_count_relative":
        low, high = row.get("cell_count_low"), row.get("cell_count_high")
        span = f"{low:.0%} to {high:.0%}" if low is not None and high is not None else None
        return tag("span", f"{value:.0%}", class_="low" if row.get("is_toxic") else None, title=span)
    if name == "inducing_share":
        return f"{value:.0%}"
    if name == "_mechanism":
        return _mechanism(row)
    return _FORMATS[name].format(value) if name in _FORMATS else value


def _mechanism(row: dict[str, object]) -> Html:
    """Write the annotated mechanism, and the one that was called with its probability."""
    known, called, sure = row.get("Metadata_moa"), row.get("predicted"), row.get("probability")
    if called is None:
        return join([known])
    percent = f" ({sure:.0%})" if isinstance(sure, float) else ""
    text = f"called {'the same' if called == known else called}{percent}"
    return join([part for part in (known, tag("span", text, class_="quiet")) if part is not None], " ")


def _treatment(row: dict[str, object]) -> Html:
    """Write the name, with the status where it is more than a hit or none, and the reason on hover."""
    status, reason = row.get("status"), row.get("reason")
    name = tag("span", row["treatment"], class_="hit" if row.get("is_hit") else "miss", title=reason)
    chips = [] if status in ("hit", "not a hit") else [tag("span", status, class_="chip")]
    if row.get("is_toxic"):
        chips.append(tag("span", "toxic", class_="chip"))
    return join([name, *chips], " ")
