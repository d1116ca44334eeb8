"""Clusters of profiles: found again in resamples, refused where there are none."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_matrix

from phenoprint.analysis import cluster_profiles
from phenoprint.analysis.nearest import nearest_rows, unit_rows
from phenoprint.analysis.partitions import leiden, modularity, neighbour_graph
from phenoprint.analysis.stability import shared_information
from phenoprint.errors import UnknownNameError, UsageError
from phenoprint.simulation import simulate_profiles

METHODS = ("leiden", "average", "hdbscan")


def profiles(
    *, sizes: tuple[int, ...] = (12, 12, 12), strength: float = 9.0, seed: int = 0, n: int = 40
) -> pl.DataFrame:
    """Profiles of groups whose directions are independent."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    directions = unit_rows(rng.normal(size=(len(sizes), n)))
    values = strength * directions[groups] + rng.normal(size=(len(groups), n))
    return pl.DataFrame(
        {"Metadata_perturbation": [f"t{i:03d}" for i in range(len(groups))], "Metadata_group": groups}
    ).hstack([pl.Series(f"F{k}", values[:, k]) for k in range(n)])


def agreement(truth: pl.Series, found: pl.Series) -> float:
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(truth.to_numpy(), found.fill_null(-1).to_numpy()))


@pytest.mark.parametrize("method", METHODS)
def test_groups_are_found_whatever_the_order_of_the_rows(method: str) -> None:
    data = profiles(sizes=(15, 12, 9, 6))
    found = cluster_profiles(data, method, keep=["Metadata_perturbation", "Metadata_group"])
    assert (found.status, found.reason, found.n_features) == ("ok", None, 40)
    assert agreement(found.table["Metadata_group"], found.table["cluster"]) > 0.95
    sizes = found.table.drop_nulls("cluster")["cluster"].value_counts().sort("cluster")["count"].to_list()
    assert sizes == sorted(sizes, reverse=True), "the largest cluster is the first"
    assert found.table.filter("is_medoid").height == 4
    assert found.table["stability"].mean() > 0.9  # type: ignore[operator]
    shuffled = cluster_profiles(data.sample(fraction=1, shuffle=True, seed=1), method, keep=["Metadata_perturbation"])
    again = found.table.drop("Metadata_group").join(shuffled.table, on="Metadata_perturbation", how="left")
    for name in ("cluster", "stability", "cluster_stability", "is_medoid", "status"):
        assert again[name].eq_missing(again[f"{name}_right"]).all(), name


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(60, 40), (150, 100), (60, 5)])
def test_noise_is_not_split(method: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    found = cluster_profiles(pl.DataFrame(rng.normal(size=shape)).with_columns(Metadata_a=pl.lit("x")), method)
    assert found.status == "no_structure"
    assert found.reason is not None
    assert "of a cluster again" in found.reason
    assert set(found.table["status"]) == {"no_structure"}
    assert found.table["cluster"].null_count() == shape[0]


@pytest.mark.parametrize("method", METHODS)
def test_a_few_apart_from_all_others_are_no_clusters(method: str) -> None:
    found = cluster_profiles(profiles(sizes=(112, 3), strength=30), method)
    if method == "leiden" and found.status == "ok":
        pytest.fail("two groups of 112 and 3")
    assert found.status in ("trivial", "no_structure")
    assert set(found.table["status"]) == {found.status}


def test_the_sizes_of_a_trivial_split_are_in_the_reason() -> None:
    found = cluster_profiles(profiles(sizes=(112, 3), strength=30), "average", value=2)
    assert (found.status, found.reason) == (
        "trivial",
        "the largest cluster would hold 112 of 115 profiles; the others are 3",
    )


def test_clusters_that_dissolve_are_marked() -> None:
    strong, weak = profiles(sizes=(20, 20, 20), strength=12), profiles(sizes=(20,), strength=0.0, seed=5)
    data = pl.concat(
        [strong, weak.with_columns(pl.format("w{}", "Metadata_perturbation").alias("Metadata_perturbation"))]
    )
    found = cluster_profiles(data, "leiden", keep=["Metadata_perturbation"])
    kept = found.table.filter(~pl.col("Metadata_perturbation").str.starts_with("w"))
    rest = found.table.filter(pl.col("Metadata_perturbation").str.starts_with("w"))
    assert set(kept["status"]) == {"ok"}
    assert rest["stability"].mean() < kept["stability"].min() - 0.2  # type: ignore[operator]


def test_bad_input_has_a_status() -> None:
    data = profiles()
    assert cluster_profiles(data.head(9)).reason == "no clusters of fewer than 10 profiles; found 9"
    assert cluster_profiles(data.select("^Metadata_.*$")).status == "too_few"
    assert cluster_profiles(data.clear()).table.height == 0
    same = data.with_columns(pl.lit(1.0).alias(f"F{k}") for k in range(40))
    assert cluster_profiles(same).status in ("trivial", "no_structure")
    zeros = pl.when(pl.int_range(pl.len()) > 0).then(pl.col("^F.*$")).otherwise(0.0)
    part = cluster_profiles(data.with_columns(zeros), keep=["Metadata_perturbation"])
    assert part.table.row(0, named=True)["status"] == "no_profile"
    assert set(part.table["status"][1:]) == {"ok"}
    empty = cluster_profiles(data.with_columns(pl.when(pl.int_range(pl.len()) > 0).then(pl.col("^F.*$"))))
    assert empty.table["status"][0] == "no_profile"
    assert empty.table["cluster"][0] is None


def test_wrong_use() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'leiden'"):
        cluster_profiles(profiles(), "leyden")
    with pytest.raises(UsageError, match="resolution must be above 0"):
        cluster_profiles(profiles(), value=0)
    with pytest.raises(UsageError, match="n_neighbours is a number of 1 or more, for method 'leiden'"):
        cluster_profiles(profiles(), "average", n_neighbours=3)
    with pytest.raises(UsageError, match="n_resamples must be 2 or more"):
        cluster_profiles(profiles(), n_resamples=1)


def test_parameters_that_are_given_are_used() -> None:
    found = cluster_profiles(profiles(), "average", value=6)
    assert found.choices.select("parameter", "value", "is_chosen").rows() == [("n_clusters", 6.0, True)]
    chosen = cluster_profiles(profiles(), n_neighbours=8).choices
    assert set(chosen["n_neighbours"]) == {8}
    best = chosen.filter("is_chosen")["shared_information"].item()
    assert best == chosen["shared_information"].max()


def graph(seed: int = 0) -> csr_matrix:
    unit = unit_rows(profiles(seed=seed).select("^F.*$").to_numpy())
    return neighbour_graph(*nearest_rows(unit, 8), 8)


@pytest.mark.parametrize("resolution", [0.5, 1.0, 3.0])
def test_leiden_agrees_with_graspologic_by_edges(resolution: float) -> None:
    import graspologic_native

    joined = graph()
    groups, quality = leiden(joined, resolution, seed=4)
    rows, columns = joined.nonzero()
    edges = [(str(i), str(j), float(joined[i, j])) for i, j in zip(rows, columns, strict=True) if i < j]
    best, found = graspologic_native.leiden(edges, resolution=resolution, seed=4, iterations=3)
    assert quality == pytest.approx(best, abs=0.02), "the two read the nodes in another order"
    theirs = np.array([found[str(i)] for i in range(len(groups))])
    assert agreement(pl.Series(theirs), pl.Series(groups)) > 0.9
    native = graspologic_native.modularity(edges, {str(i): int(g) for i, g in enumerate(groups)}, resolution)
    assert modularity(joined, groups, resolution) == pytest.approx(native, abs=1e-12)
    assert quality == pytest.approx(native, abs=1e-9)


def test_modularity_by_its_formula() -> None:
    joined, groups = graph(1).toarray(), np.repeat([0, 1, 2], 12)
    degree, total = joined.sum(axis=1), joined.sum()
    same = groups[:, None] == groups
    expected = ((joined - np.outer(degree, degree) / total) * same).sum() / total
    assert modularity(csr_matrix(joined), groups) == pytest.approx(expected, abs=1e-12)


def test_a_graph_joins_the_nearest_of_either() -> None:
    values = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.9], [-1.0, 0.0]])
    joined = neighbour_graph(*nearest_rows(unit_rows(values), 1), 1).toarray()
    assert (joined > 0).astype(int).tolist() == [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert leiden(csr_matrix((3, 3)), 1.0)[0].tolist() == [0, 1, 2]


def test_shared_information_is_that_of_scikit_learn_above_chance() -> None:
    from sklearn.metrics import adjusted_mutual_info_score, mutual_info_score

    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 4, 200), rng.integers(0, 5, 200)
    assert abs(shared_information(first, second)) < 0.03, "none by chance"
    mixed = np.where(rng.random(200) < 0.7, first, second)
    known = float(mutual_info_score(first, mixed))
    entropies = float(mutual_info_score(first, first)), float(mutual_info_score(mixed, mixed))
    # adjusted = (known - chance) / (mean entropy - chance)
    adjusted = float(adjusted_mutual_info_score(first, mixed))
    chance = (known - adjusted * np.mean(entropies)) / (1 - adjusted)
    assert chance > 0.01
    assert shared_information(first, mixed) == pytest.approx(known - chance, abs=1e-9)


def test_mechanisms_of_simulated_treatments_are_found() -> None:
    """Distinct mechanisms and effects above the noise: clusters are the mechanisms."""
    made = simulate_profiles("mechanism", seed=2)
    features = [name for name in made.wells.columns if not name.startswith("Metadata_")]
    control = made.wells.filter(Metadata_pert_type="negcon").select(
        pl.col(features).median().name.suffix("_m"), pl.col(features).std().name.suffix("_s")
    )
    scaled = made.wells.join(control, how="cross").select(
        "Metadata_perturbation", *((pl.col(f) - pl.col(f"{f}_m")) / pl.col(f"{f}_s") for f in features)
    )
    strong = made.truth.filter((pl.col("effect") > 1) & pl.col("mechanism").is_not_null())
    level5 = (
        scaled.group_by("Metadata_perturbation")
        .median()
        .join(strong.select("Metadata_perturbation", Metadata_truth="mechanism"), on="Metadata_perturbation")
    )
    found = cluster_profiles(level5, keep=["Metadata_truth"])
    assert found.status == "ok"
    assert agreement(found.table["Metadata_truth"], found.table["cluster"]) >= 0.5
