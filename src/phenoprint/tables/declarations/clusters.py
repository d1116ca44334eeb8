"""Clusters and maps of treatments and wells."""

from __future__ import annotations

from typing import Final

from phenoprint.tables import keys
from phenoprint.tables.declarations import columns as c
from phenoprint.tables.declarations.columns import FLAG, INT, LONG, REAL, SINGLE, TEXT, required
from phenoprint.tables.records import Column, Table

_MEMBERSHIP: Final = (
    Column("cluster", INT, "Cluster number, 1 the largest; NULL for none"),
    Column(
        "stability",
        REAL,
        "How far the cluster of this row is found again around it in resamples (80% of the rows by half of the "
        "features): mean Jaccard index, 0 to 1",
    ),
    Column("cluster_stability", REAL, "How far the whole cluster is found again: mean of the best Jaccard index"),
    required("is_medoid", FLAG, "Whether it is the most similar to the others of its cluster"),
    Column(
        "technical",
        TEXT,
        "Plate, batch, row, column, edge, well or low cell count that half of the cluster or more shares beyond chance "
        "(q < 0.05); NULL where there is none",
    ),
    required(
        "status",
        TEXT,
        "ok; unstable (stability below 0.5); noise (in no cluster); inactive (not clustered); no_profile; or "
        "why there are no clusters: too_few, too_many, trivial, no_structure",
    ),
)
_PLACE: Final = (
    required("method", TEXT, "How the map was made: pca or umap"),
    Column("x", SINGLE, "First coordinate, without unit"),
    Column("y", SINGLE, "Second coordinate, without unit"),
)

TABLES: Final = (
    Table(
        "projection",
        "One row per well: its position on a map in two dimensions",
        (c.PLATE, c.WELL, *_PLACE),
        key=(*keys.WELL_KEY, "method"),
        per_plate=False,
    ),
    Table(
        "treatment_projection",
        "One row per treatment: the position of its consensus profile on a map in two dimensions",
        (c.TREATMENT, *_PLACE),
        key=(keys.PERTURBATION, "method"),
        per_plate=False,
        references=(c.TO_PERTURBATION,),
    ),
    Table(
        "cluster",
        "One row per treatment: the cluster of its consensus profile, by cosine similarity",
        (c.TREATMENT, *c.ABOUT_TREATMENT, *_MEMBERSHIP),
        key=(keys.PERTURBATION,),
        per_plate=False,
        references=(c.TO_PERTURBATION,),
    ),
    Table(
        "well_cluster",
        'One row per well: the cluster of its profile; only with clusters.of = "wells"',
        (c.PLATE, c.WELL, *_MEMBERSHIP),
        key=keys.WELL_KEY,
        per_plate=False,
    ),
    Table(
        "cluster_choice",
        "One row per set of parameters that was compared: how much of its clusters is found again in resamples",
        (
            required("method", TEXT, "leiden, average or hdbscan"),
            required("parameter", TEXT, "What value is: resolution, n_clusters or min_size"),
            required("value", REAL, "Value of the parameter"),
            Column("n_neighbours", INT, "Neighbours that each profile is joined to, for leiden"),
            required("n_clusters", INT, "Clusters of two or more"),
            required("largest", INT, "Size of the largest cluster"),
            required(
                "shared_information",
                REAL,
                "Mutual information of the clusters and those of resamples, above chance, by natural logarithm; the "
                "largest is chosen",
            ),
            required("stability", REAL, "Mean stability of all profiles; 0 for those in no cluster"),
            required("is_chosen", FLAG, "Whether the clusters are made with it"),
        ),
        order=("value", "n_neighbours"),
        per_plate=False,
    ),
    Table(
        "cluster_enrichment",
        "One row per cluster and label that some of its members have: whether they share it more often than chance",
        (
            required("cluster", INT, "Cluster, as in table cluster (or well_cluster)"),
            required(
                "kind",
                TEXT,
                "What the label is: mechanism, compound, plate, batch, row, column, edge (edge or inside), cells "
                "(few cells: below 70% of the controls, or as controls); of wells also treatment and well (the same "
                "position on several plates)",
            ),
            required("label", TEXT, "The label"),
            required("n_both", LONG, "Members of the cluster with the label"),
            required("n_cluster", LONG, "Members of the cluster with a label of this kind"),
            required("n_label", LONG, "Clustered members with the label"),
            required("n_total", LONG, "Clustered members with a label of this kind"),
            required("share", REAL, "n_both / n_cluster"),
            required("fold", REAL, "share over that of all clusters"),
            Column("p_value", REAL, "Hypergeometric, one-sided; NULL for a label of one member, which is not tested"),
            Column("q_value", REAL, "The same, corrected (Benjamini-Hochberg) for all clusters and labels of the kind"),
        ),
        key=("cluster", "kind", "label"),
        per_plate=False,
    ),
    Table(
        "cluster_signature",
        "One row per cluster and selected feature: how its wells differ from those of all other clusters",
        (
            required("cluster", INT, "Cluster, as in table cluster (or well_cluster)"),
            c.FEATURE,
            *c.ABOUT_FEATURE,
            required(
                "effect",
                SINGLE,
                "Difference of the medians, cluster minus others, in robust spreads (root mean square of 1.4826 MAD "
                "within the cluster and within the others)",
            ),
            required(
                "cliffs_delta",
                SINGLE,
                "How much more often a well of the cluster lies above one of the others than below, -1 to 1. No "
                "p value: clusters are made from the same features",
            ),
            required(
                "rank",
                INT,
                "Place among the features of the cluster by absolute cliffs_delta, then effect; 1 is the first. No "
                "more than evaluation.top_features are kept",
            ),
            required("n_wells", INT, "Wells of the cluster with a value"),
            required("n_others", INT, "Other wells with a value"),
        ),
        key=("cluster", "rank"),
        per_plate=False,
        references=(c.TO_FEATURE,),
    ),
)
