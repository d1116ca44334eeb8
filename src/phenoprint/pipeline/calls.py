"""From profiles to calls: activity against controls, mechanisms by neighbours, dose curves, beside baselines."""

from __future__ import annotations

import polars as pl

from phenoprint.analysis import fit_hill
from phenoprint.evaluation import (
    average_precision,
    is_headline,
    mean_average_precision,
    moa_accuracy,
    replicate_reproducibility,
)
from phenoprint.tables import WELL_KEY, declared_columns, feature_columns, frame_of

__all__ = ["activity", "also_controls", "dose_curves", "moa_calls", "replicate_score"]

_IS_NEGCON = "Metadata_is_negcon"
_DESCRIBE = [
    "Metadata_perturbation",
    "Metadata_compound",
    "Metadata_Concentration",
    "Metadata_Concentration_Unit",
    "Metadata_moa",
    "Metadata_pert_type",
]


def also_controls(profiles: pl.DataFrame) -> pl.DataFrame:
    """Return the wells annotated as treatments whose treatment is a negative control in other wells.

    Such a treatment counts as the control, as in the table ``perturbation``: it is not called.

    Parameters
    ----------
    profiles
        Well profiles (level 4b), one row per well.

    Examples
    --------
    >>> kinds = {"Metadata_pert_type": ["negcon", "trt", "trt"], "Metadata_perturbation": ["DMSO", "DMSO", "taxol"]}
    >>> also_controls(pl.DataFrame(kinds))["Metadata_perturbation"].to_list()
    ['DMSO']
    """
    controls = profiles.filter(pl.col("Metadata_pert_type") == "negcon")["Metadata_perturbation"].drop_nulls()
    is_treated = pl.col("Metadata_pert_type").is_in(["trt", "poscon"])
    return profiles.filter(is_treated & pl.col("Metadata_perturbation").is_in(controls.unique().implode()))


def _treated(profiles: pl.DataFrame) -> pl.DataFrame:
    """Return the wells of treatments that are no negative control anywhere."""
    left_out = also_controls(profiles)["Metadata_perturbation"].unique().implode()
    return profiles.filter(
        pl.col("Metadata_pert_type").is_in(["trt", "poscon"])
        & pl.col("Metadata_perturbation").is_not_null()
        & ~pl.col("Metadata_perturbation").is_in(left_out)
    )


def activity(profiles: pl.DataFrame, *, null_size: int = 10_000, seed: int = 0) -> pl.DataFrame:
    """Score how well the replicates of each treatment find each other among the negative controls of their plate.

    Mean average precision after Kalinin et al., Nature Communications 2025, as in the JUMP protocol: replicates share
    ``Metadata_perturbation``; negatives are the ``negcon`` wells of the same plate.

    Parameters
    ----------
    profiles
        Well profiles (level 4b), one row per well.
    null_size
        Size of the null distribution.
    seed
        Seed of the null distribution.

    Returns
    -------
    polars.DataFrame
        One row per treatment with at least two wells; empty without negative controls. A well without
        ``Metadata_perturbation`` belongs to no treatment; a negative control needs none. A treatment that is a
        negative control in other wells is left out, see `also_controls`.
    """
    treated = _treated(profiles)
    repeated = treated.group_by("Metadata_perturbation").len().filter(pl.col("len") > 1)
    controls = profiles.filter(pl.col("Metadata_pert_type") == "negcon")
    if repeated.is_empty() or controls.is_empty() or not feature_columns(profiles):
        return frame_of("activity")
    queries = treated.filter(pl.col("Metadata_perturbation").is_in(repeated["Metadata_perturbation"].implode()))
    # A control is nobody's replicate: each gets an identity of its own.
    singles = controls.with_columns(
        (pl.lit("negcon ") + pl.col("Metadata_Plate") + pl.lit(" ") + pl.col("Metadata_Well")).alias(
            "Metadata_perturbation"
        )
    )
    scored = average_precision(
        pl.concat([queries, singles]).with_columns((pl.col("Metadata_pert_type") == "negcon").alias(_IS_NEGCON)),
        pos_sameby=["Metadata_perturbation"],
        pos_diffby=[],
        neg_sameby=["Metadata_Plate"],
        neg_diffby=[_IS_NEGCON],  # by role, or positive controls would be negatives of treatments
    )
    scored = scored.filter((pl.col("Metadata_pert_type") != "negcon") & pl.col("average_precision").is_not_null())
    result = mean_average_precision(scored, sameby=["Metadata_perturbation"], null_size=null_size, seed=seed)
    about = queries.select(_DESCRIBE).unique("Metadata_perturbation", keep="first", maintain_order=True)
    counts = queries.group_by("Metadata_perturbation").len("n_replicates")
    joined = (
        result.select([name for name in result.columns if name not in _DESCRIBE[1:] and name != "n_replicates"])
        .join(about, on="Metadata_perturbation", how="left")
        .join(counts, on="Metadata_perturbation", how="left")
    )
    return declared_columns(joined, "activity").sort("Metadata_perturbation")


def replicate_score(profiles: pl.DataFrame, *, seed: int = 0) -> pl.DataFrame:
    """Return the share of treatments whose replicates agree better than the 95th percentile of a size-matched null."""
    wells = _treated(profiles)
    repeated = wells.group_by("Metadata_perturbation").len().filter(pl.col("len") > 1)
    if repeated.height < 2 or not feature_columns(wells):
        return frame_of("score")
    record = replicate_reproducibility(wells, replicate_by=["Metadata_perturbation"], seed=seed)
    row = (
        "replicates_reproducible",
        record.fraction,
        record.n_groups,
        wells["Metadata_perturbation"].n_unique(),
        is_headline(record.n_groups),
        "share of treatments whose replicates correlate above the 95th percentile of random groups of their size",
    )
    return frame_of("score", [row])


def moa_calls(consensus: pl.DataFrame, active: pl.DataFrame, *, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Call the mechanism of each active treatment from the nearest treatment of another compound.

    Only treatments that beat the negative controls take part, and a compound never meets itself
    (not-same-compound accuracy). The same splits are scored with shuffled labels and with the cell count alone.

    Returns
    -------
    tuple
        Predictions, one row per treatment, and scores, one row per score.
    """
    if not {"Metadata_moa", "Metadata_compound", "Metadata_pert_type"} <= set(consensus.columns):
        return frame_of("moa_prediction"), frame_of("score")
    found = active.filter(pl.col("below_corrected_p").fill_null(False))["Metadata_perturbation"]
    called = consensus.filter(
        pl.col("Metadata_perturbation").is_in(found.implode())
        & pl.col("Metadata_moa").is_not_null()
        & (pl.col("Metadata_pert_type") == "trt")
    )
    compounds = called.group_by("Metadata_moa").agg(pl.col("Metadata_compound").n_unique().alias("n"))
    shared = compounds.filter(pl.col("n") > 1)["Metadata_moa"]
    called = called.filter(pl.col("Metadata_moa").is_in(shared.implode()))
    if shared.len() < 2 or not feature_columns(called):
        return frame_of("moa_prediction"), frame_of("score")
    record = moa_accuracy(called, label="Metadata_moa", not_same=["Metadata_compound"], seed=seed)
    n_total = consensus.filter(pl.col("Metadata_pert_type") == "trt")["Metadata_perturbation"].n_unique()
    stands = (record.n, n_total, is_headline(record.n))
    scores = [
        (
            "moa_accuracy",
            record.accuracy,
            *stands,
            "active treatments whose nearest other compound shares the mechanism",
        ),
        ("moa_accuracy_shuffled_labels", record.shuffled_accuracy, *stands, "the same with shuffled mechanisms"),
    ]
    if record.count_accuracy is not None:
        scores.append(
            ("moa_accuracy_cell_count_only", record.count_accuracy, *stands, "the same from cell counts alone")
        )
    predictions = declared_columns(record.predictions, "moa_prediction")
    return predictions.sort("Metadata_perturbation"), frame_of("score", scores)


def dose_curves(values: pl.DataFrame, wells: pl.DataFrame, readouts: list[str]) -> pl.DataFrame:
    """Fit a Hill curve per compound and readout.

    Parameters
    ----------
    values
        ``Metadata_Plate``, ``Metadata_Well``, ``readout``, ``value``.
    wells
        The well table; only ``trt`` wells with a dose stand on a curve.
    readouts
        Which readouts to fit.

    Returns
    -------
    polars.DataFrame
        One row per compound and readout: EC50 with its 95% interval in ``Metadata_Concentration_Unit``, slope, bottom,
        top, r2, number of wells and doses, status and reason.
    """
    treated = wells.filter((pl.col("Metadata_pert_type") == "trt") & pl.col("Metadata_Concentration").is_not_null())
    joined = values.join(treated, on=WELL_KEY, how="inner").drop_nulls("value")
    rows = []
    by = ["readout", "Metadata_compound", "Metadata_Concentration_Unit"]
    for (readout, compound, unit), group in joined.sort(*by, "Metadata_Concentration").group_by(
        by, maintain_order=True
    ):
        if readout not in readouts:
            continue
        fit = fit_hill(group["Metadata_Concentration"].to_numpy(), group["value"].to_numpy())
        rows.append(
            {
                "readout": readout,
                "Metadata_compound": compound,
                "Metadata_Concentration_Unit": unit,
                "ec50": fit.ec50,
                "ec50_low": fit.ec50_low,
                "ec50_high": fit.ec50_high,
                "slope": fit.slope,
                "bottom": fit.bottom,
                "top": fit.top,
                "r2": fit.r2,
                "n_wells": group.height,
                "n_doses": group["Metadata_Concentration"].n_unique(),
                "status": fit.status,
                "reason": fit.reason,
            }
        )
    curves = frame_of("dose_response", rows)
    return curves.with_columns(pl.col(pl.Float64).fill_nan(None))  # a curve that could not be fitted has no numbers
