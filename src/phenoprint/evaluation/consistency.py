"""Whether the compounds of a mechanism resemble each other more than as many random compounds."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from phenoprint.evaluation.activity import corrected_p
from phenoprint.evaluation.fold_profiles import seed_of
from phenoprint.evaluation.matching import matching_groups
from phenoprint.evaluation.permutations import permutation_test
from phenoprint.evaluation.scores import PROFILES, score_rows
from phenoprint.evaluation.similarities import to_vectors
from phenoprint.tables import COMPOUND, MOA, PERT_TYPE, PERTURBATION, feature_columns, frame_of, to_polars

__all__ = ["mechanism_consistency"]

_SEPARATOR: Final = "|"


def mechanism_consistency(
    consensus: pl.DataFrame,
    active: pl.DataFrame,
    *,
    label: str = MOA,
    null_size: int = 10_000,
    threshold: float = 0.05,
    seed: int = 0,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Test whether the active compounds of each mechanism find each other before all other active compounds.

    A compound is the mean of its active treatments, each of unit length, so that doses of one compound are no evidence
    for each other. The score is the mean average precision (cosine); the null exchanges compounds, with as many in each
    random mechanism.

    Parameters
    ----------
    consensus
        Treatment profiles (level 5).
    active
        Table ``activity``.
    label
        Column of the mechanism; ``A|B`` belongs to both. NULL belongs to none, and counts as another compound.
    null_size
        Random mechanisms; all of them where there are no more.
    threshold
        For the corrected p value.
    seed
        Seed of the draws.

    Returns
    -------
    tuple
        Table ``consistency``: one row per mechanism, with status ``one compound`` where fewer than two are active and
        ``too few compounds`` where no p value below the threshold could be reached; and the rows
        ``mechanisms_consistent`` and ``mechanisms_matching`` (percent matching, see `matching_groups`, beside shuffled
        compounds) of table ``score``. Both empty without mechanisms or features.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> moa = ["tubulin"] * 3 + ["actin"] * 3 + [None] * 6
    >>> values = rng.normal(size=(12, 5)) + 4 * np.array([[m == "tubulin", m == "actin", 0, 0, 0] for m in moa])
    >>> names = [f"c{i:02d}" for i in range(12)]
    >>> treatments = pl.DataFrame({"Metadata_perturbation": names, "Metadata_compound": names, "Metadata_moa": moa})
    >>> treatments = treatments.hstack(pl.DataFrame(values, schema=list("abcde")))
    >>> treatments = treatments.with_columns(Metadata_pert_type=pl.lit("trt"))
    >>> active = treatments.select("Metadata_perturbation", below_corrected_p=pl.lit(True))
    >>> mechanism_consistency(treatments, active)[0].select("label", "n_compounds", "status").rows()
    [('actin', 3, 'ok'), ('tubulin', 3, 'ok')]
    """
    data = to_polars(consensus)
    nothing = frame_of("consistency"), frame_of("score")
    if not {label, COMPOUND, PERT_TYPE} <= set(data.columns) or not feature_columns(data):
        return nothing
    found = active.filter(pl.col("below_corrected_p").fill_null(value=False))[PERTURBATION]
    treated = data.filter(pl.col(PERT_TYPE).is_in(["trt", "poscon"]) & pl.col(COMPOUND).is_not_null())
    labels = treated.select(COMPOUND, pl.col(label).str.split(_SEPARATOR).alias("label")).explode("label")
    labels = labels.drop_nulls().unique().sort("label", COMPOUND)
    if labels.is_empty():
        return nothing
    used = treated.filter(pl.col(PERTURBATION).is_in(found.implode())).sort(PERTURBATION)
    compounds, vectors = _of_compounds(used)
    similarity = vectors @ vectors.T
    zeros = np.zeros(len(compounds), dtype=np.intp)
    rows = []
    for (name,), own in labels.group_by("label", maintain_order=True):
        members = np.isin(compounds, own[COMPOUND].to_numpy())
        n, n_all = int(members.sum()), own.height
        row: dict[str, object] = {"label_column": label, "label": name, "n_compounds": n, "n_compounds_total": n_all}
        if n < 2 or n == len(compounds):
            rows.append(row | {"status": "one compound" if n < 2 else "one mechanism"})
            continue
        places = np.arange(len(compounds))
        drawn_seed = seed_of(seed, name)
        test = permutation_test(similarity, zeros, places, members, null_size=null_size, seed=drawn_seed)
        pairs = similarity[np.ix_(members, members)][np.triu_indices(n, 1)]
        row |= {
            "mean_average_precision": test.precision,
            "mean_normalized_average_precision": (test.precision - test.chance) / max(1 - test.chance, 1e-10),
            "median_similarity": float(np.median(pairs)),
            "p_value": test.p_value,
            "smallest_p": test.smallest_p,
            "status": "ok" if test.smallest_p <= threshold else "too few compounds",
        }
        rows.append(row)
    corrected = corrected_p([row.get("p_value") for row in rows])  # type: ignore[misc]
    for row, q in zip(rows, corrected, strict=True):
        if row.get("p_value") is not None:
            row |= {"corrected_p_value": q, "below_corrected_p": q < threshold}
    table = frame_of("consistency", rows)
    scores = score_rows(
        "mechanisms_consistent",
        table.select("label", pl.col("below_corrected_p").alias(PROFILES)),
        description="share of mechanisms whose active compounds find each other before other active compounds "
        "(corrected p below the threshold)",
        n_total=table.height,
        n_features=len(feature_columns(data)),
        cluster="label",
        seed=seed,
    )
    member = np.array([np.isin(compounds, own[COMPOUND].to_numpy()) for own in labels.partition_by("label")]).T
    shuffled = np.random.default_rng(seed).permutation(member)
    matching = table.select("label").with_columns(
        pl.Series(PROFILES, matching_groups(vectors, member, seed=seed), dtype=pl.Boolean),
        pl.Series("shuffled_labels", matching_groups(vectors, shuffled, seed=seed), dtype=pl.Boolean),
    )
    matched = score_rows(
        "mechanisms_matching",
        matching,
        description="share of mechanisms whose active compounds correlate above the 95th percentile of random groups "
        "of as many active compounds of different mechanisms",
        n_total=table.height,
        n_features=len(feature_columns(data)),
        cluster="label",
        seed=seed,
    )
    known = [scores] if table["p_value"].count() else []
    known += [matched] if matching[PROFILES].count() else []
    return table, pl.concat(known) if known else frame_of("score")


def _of_compounds(used: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Names of the compounds, sorted, and their unit vectors."""
    if used.is_empty():
        return np.empty(0, dtype=object), np.empty((0, 1))
    made = to_vectors(used, "cosine")
    of_row = used[COMPOUND].to_numpy()[made.rows]
    compounds, codes = np.unique(of_row.astype(str), return_inverse=True)
    sums = np.zeros((len(compounds), made.values.shape[1]))
    np.add.at(sums, codes, made.values)
    return compounds, sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
