"""Clusters of the treatments or wells of a screen, and what their members have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from phenoprint.analysis import cluster_enrichment, cluster_profiles, technical_labels
from phenoprint.pipeline.explained import describe_treatments
from phenoprint.pipeline.phenotypes import treatment_profiles
from phenoprint.pipeline.reduced import profiles_in_memory
from phenoprint.pipeline.wellprofiles import WellProfiles
from phenoprint.plates import PlateFormat, Well
from phenoprint.store import ledger_rows, strict_join
from phenoprint.tables import MOA, PERT_TYPE, PERTURBATION, PLATE, WELL, WELL_KEY, declared_columns, frame_of

if TYPE_CHECKING:
    from phenoprint.analysis import Clustering
    from phenoprint.pipeline.context import Context

__all__ = ["Clusters", "make_clusters"]

_INACTIVE = 'does not differ from the negative controls (clusters.which = "all" clusters every treatment)'
FEW_CELLS = 0.7  # of the negative controls of the plate
_COMPOUND, _BATCH = "Metadata_compound", "Metadata_Batch"


@dataclass(frozen=True)
class Clusters:
    """Outcome of `make_clusters`.

    Attributes
    ----------
    tables
        Rows of ``cluster``, ``well_cluster``, ``cluster_choice`` and ``cluster_enrichment``.
    ledger
        Rows of the ledger.
    status
        ``ok``, or why there are no clusters.
    reason
        The same in a sentence.
    """

    tables: dict[str, pl.DataFrame]
    ledger: pl.DataFrame
    status: str
    reason: str


def make_clusters(context: Context, *, step: str) -> Clusters:
    """Cluster the treatments or the wells of a screen.

    Parameters
    ----------
    context
        The screen; ``[clusters]`` of its configuration decides what is clustered and how.
    step
        Name of the step in the ledger.
    """
    section = context.config.clusters
    of_wells = section.of == "wells"
    profiles = _well_profiles(context) if of_wells else _treatment_profiles(context)
    key = list(WELL_KEY) if of_wells else [PERTURBATION]
    active = profiles if section.which == "all" else profiles.filter(_is_active(context))
    found = cluster_profiles(
        active,
        section.method,
        value=section.value,
        n_neighbours=section.neighbours,
        n_resamples=section.resamples,
        keep=key,
        seed=context.config.evaluation.seed,
    )
    labels = _labels(context, of_wells=of_wells)
    members = found.table.with_columns(_member(key))
    enrichment = cluster_enrichment(members, labels, member="_member")
    table = _with_inactive(found, profiles.select(key)).join(technical_labels(enrichment), on="cluster", how="left")
    if not of_wells:
        table = strict_join(table, describe_treatments(context).drop(PERT_TYPE), on=[PERTURBATION], expect="m:1")
    named = declared_columns(table.sort(key), "well_cluster" if of_wells else "cluster")
    tables = {
        "cluster": frame_of("cluster") if of_wells else named,
        "well_cluster": named if of_wells else frame_of("well_cluster"),
        "cluster_choice": declared_columns(found.choices, "cluster_choice"),
        "cluster_enrichment": enrichment,
    }
    lost = {_INACTIVE: profiles.height - active.height} | _lost(found)
    unit = "wells" if of_wells else "treatments"
    ledger = ledger_rows(step, None, unit_of_count=unit, n_in=profiles.height, lost=lost)
    few = f" (only active {unit} are clustered)" if found.status == "too_few" and section.which == "active" else ""
    return Clusters(tables, ledger, found.status, f"{found.reason or ''}{few}")


def _treatment_profiles(context: Context) -> pl.DataFrame:
    frame = treatment_profiles(context)
    if PERT_TYPE not in frame.columns:  # no well is annotated
        return frame.clear()
    return frame.filter(pl.col(PERTURBATION).is_not_null() & _is_treated())


def _well_profiles(context: Context) -> pl.DataFrame:
    given = WellProfiles.of(context, "profile_selected")
    return profiles_in_memory(given)[0].filter(_is_treated())


def _is_treated() -> pl.Expr:
    return (pl.col(PERT_TYPE) != "negcon").fill_null(value=True)


def _is_active(context: Context) -> pl.Expr:
    active = context.table("activity").filter("below_corrected_p").select(PERTURBATION).collect()
    return pl.col(PERTURBATION).is_in(active[PERTURBATION].implode())


def _member(key: list[str]) -> pl.Expr:
    return pl.concat_str(key, separator="\t").alias("_member")


def _with_inactive(found: Clustering, every: pl.DataFrame) -> pl.DataFrame:
    """Add rows for what was not clustered."""
    others = every.join(found.table, on=every.columns, how="anti")
    none = others.with_columns(is_medoid=pl.lit(value=False), status=pl.lit("inactive"))
    return pl.concat([found.table, none], how="diagonal")


def _lost(found: Clustering) -> dict[str, int]:
    counts = dict(found.table.group_by("status").len().iter_rows())
    words = "lacks more than half of the features, or does not differ from the controls in any"
    lost = {words: counts.get("no_profile", 0), "in no cluster": counts.get("noise", 0)}
    if found.status != "ok":
        lost[f"no clusters: {found.reason}"] = counts.get(found.status, 0)
    return lost


def _labels(context: Context, *, of_wells: bool) -> pl.DataFrame:
    """Return the labels of every treatment or well: member, kind, label."""
    wells = context.table("well").collect()
    if _BATCH not in wells.columns:
        wells = wells.with_columns(pl.lit(None, pl.String).alias(_BATCH))
    member = _member(list(WELL_KEY) if of_wells else [PERTURBATION])
    rows = wells.filter(pl.col(PERTURBATION).is_not_null()).join(_positions(wells), on=WELL_KEY).with_columns(member)
    kinds = {"mechanism": pl.col(MOA).str.split("|"), "compound": pl.col(_COMPOUND), "plate": pl.col(PLATE)}
    kinds |= {"batch": pl.col(_BATCH), "row": pl.col("_row"), "column": pl.col("_column")}
    if of_wells:
        kinds |= {"edge": pl.col("_edge"), "treatment": pl.col(PERTURBATION), "well": pl.col(WELL)}
    parts = []
    for kind, label in kinds.items():
        part = rows.select("_member", pl.lit(kind).alias("kind"), label.alias("label"))
        parts.append(part.explode("label") if kind == "mechanism" else part)
    parts.append(_cell_counts(context, rows))
    if not of_wells:  # a treatment is at the edge if most of its wells are
        at_edge = (pl.col("_edge") == "edge").mean() > 0.5
        edge = rows.group_by("_member").agg(
            pl.when(at_edge).then(pl.lit("edge")).otherwise(pl.lit("inside")).alias("label")
        )
        parts.append(edge.select("_member", pl.lit("edge").alias("kind"), "label"))
    labels = pl.concat(parts).with_columns(pl.col("label").cast(pl.String).str.strip_chars())
    return labels.drop_nulls().unique()


def _cell_counts(context: Context, rows: pl.DataFrame) -> pl.DataFrame:
    """Return whether each member has few cells, by the median of its wells relative to the controls of their plates."""
    counts = context.table("readout").filter(pl.col("readout") == "cell_count_relative").select(*WELL_KEY, "value")
    known = rows.select(*WELL_KEY, "_member").join(counts.collect(), on=WELL_KEY).drop_nulls("value")
    few = pl.col("value").median() < FEW_CELLS
    label = pl.when(few).then(pl.lit("few cells")).otherwise(pl.lit("as controls"))
    return known.group_by("_member").agg(label.alias("label")).select("_member", pl.lit("cells").alias("kind"), "label")


def _positions(wells: pl.DataFrame) -> pl.DataFrame:
    """Return row, column and edge of each well, from the format of its plate."""
    rows = []
    for (plate,), own in wells.group_by(PLATE, maintain_order=True):
        names = own[WELL].unique().sort().to_list()
        form = PlateFormat.infer(names)
        for name in names:
            well = Well.parse(name)
            row, column = str(well)[:-2], str(well.col + 1)
            rows.append((plate, name, row, column, "edge" if form.is_edge(well) else "inside"))
    return pl.DataFrame(rows, schema=[PLATE, WELL, "_row", "_column", "_edge"], orient="row")
