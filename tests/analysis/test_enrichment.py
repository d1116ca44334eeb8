"""What the members of a cluster share."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import false_discovery_control, fisher_exact

from phenoprint.analysis import cluster_enrichment, technical_labels
from phenoprint.tables import validate


def members(n: int = 60, n_clusters: int = 3) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {"Metadata_perturbation": [f"t{i:02d}" for i in range(n)], "cluster": rng.integers(1, n_clusters + 1, n)}
    ).with_columns(pl.col("cluster").cast(pl.Int32))


def test_p_is_fishers_and_q_counts_labels_that_do_not_meet() -> None:
    clusters = members()
    rng = np.random.default_rng(1)
    own = clusters["cluster"].to_numpy()
    label = np.where(rng.random(60) < 0.6, own, rng.integers(1, 6, 60))
    labels = clusters.select(
        "Metadata_perturbation", kind=pl.lit("mechanism"), label=pl.Series([f"m{value}" for value in label])
    )
    found = cluster_enrichment(clusters, labels)
    validate(found, "cluster_enrichment")
    p = []
    for cluster in (1, 2, 3):
        for name in sorted(set(labels["label"])):
            has, inside = label == int(name[1:]), own == cluster
            table = [[(has & inside).sum(), (has & ~inside).sum()], [(~has & inside).sum(), (~has & ~inside).sum()]]
            expected = fisher_exact(table, alternative="greater").pvalue
            p.append(expected)
            row = found.filter(pl.col("cluster") == cluster, pl.col("label") == name)
            if row.height:
                assert row["p_value"].item() == pytest.approx(expected, rel=1e-9)
                assert row["n_both"].item() == table[0][0]
            else:
                assert table[0][0] == 0
    q = dict(zip(np.round(p, 12), false_discovery_control(p), strict=True))
    for value, corrected in found.select("p_value", "q_value").iter_rows():
        assert corrected == pytest.approx(q[np.round(value, 12)], rel=1e-9)


def test_under_chance_few_are_enriched() -> None:
    rng = np.random.default_rng(2)
    clusters = members()
    false = 0
    for _ in range(100):
        drawn = pl.Series([f"m{value}" for value in rng.integers(0, 8, 60)])
        labels = clusters.select("Metadata_perturbation", kind=pl.lit("plate"), label=drawn)
        false += bool((cluster_enrichment(clusters, labels)["q_value"] < 0.05).any())
    assert false <= 9


def test_a_cluster_that_is_a_plate_or_an_edge_is_named() -> None:
    clusters = members(40, 2)
    first = pl.col("cluster") == 1
    number = pl.int_range(pl.len())
    parts = [
        clusters.select("Metadata_perturbation", kind=pl.lit(kind), label=label)
        for kind, label in (
            ("plate", pl.when(first & (number > 4)).then(pl.lit("P2")).otherwise(pl.lit("P1"))),
            ("edge", pl.when(first).then(pl.lit("edge")).otherwise(pl.lit("inside"))),
            ("mechanism", pl.when(first).then(pl.lit("kinase")).otherwise(pl.lit("actin"))),
        )
    ]
    named = technical_labels(cluster_enrichment(clusters, pl.concat(parts)))
    n = int((clusters["cluster"] == 1).sum())
    assert named.filter(cluster=1)["technical"].item().startswith(f"edge edge ({n} of {n}); plate P2 (")
    assert named.filter(cluster=2)["technical"].to_list() == ["plate P1 (24 of 24)"] or named.height == 2
    assert "kinase" not in str(named.rows())


def test_labels_of_one_member_several_labels_and_missing_ones() -> None:
    clusters = pl.DataFrame(
        {"Metadata_perturbation": ["a", "b", "c", "d", "e"], "cluster": [1, 1, 2, 2, None]},
        schema_overrides={"cluster": pl.Int32},
    )
    labels = pl.DataFrame(
        {
            "Metadata_perturbation": ["a", "a", "b", "c", "d", "e", "e"],
            "kind": ["mechanism"] * 7,
            "label": ["x", "y", "x", "z", None, "x", "z"],
        }
    )
    found = cluster_enrichment(clusters, labels)
    assert found.select("cluster", "label", "n_both", "n_cluster", "n_label", "n_total").rows() == [
        (1, "x", 2, 2, 2, 3),
        (1, "y", 1, 2, 1, 3),
        (2, "z", 1, 1, 1, 3),
    ]
    assert found["p_value"].to_list() == [pytest.approx(1 / 3), None, None]
    assert cluster_enrichment(clusters.clear(), labels).is_empty()
