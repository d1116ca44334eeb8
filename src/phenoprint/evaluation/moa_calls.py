"""Calls of mechanisms, with a probability, a set of mechanisms that fit, and the right to abstain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from phenoprint.errors import UsageError
from phenoprint.evaluation.class_fit import ClassFit, fit_classes
from phenoprint.evaluation.mechanism_labels import SEPARATOR, MechanismLabels
from phenoprint.evaluation.scores import PROFILES, score_rows
from phenoprint.evaluation.similarities import to_vectors
from phenoprint.tables import (
    COMPOUND,
    MOA,
    PERT_TYPE,
    PERTURBATION,
    Groups,
    declared_columns,
    feature_columns,
    feature_matrix,
    frame_of,
    get_table,
    require_columns,
    to_polars,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.evaluation.similarities import Vectors
    from phenoprint.tables import FrameLike

__all__ = ["CALL_STATUSES", "call_scores", "compound_codes", "moa_calls", "treatments_of", "with_shuffled_labels"]

CALL_STATUSES: Final = (
    "called",
    "ambiguous",
    "novel",
    "inactive",
    "not tested",
    "too few references",
    "no profile",
)
"""What may become of a treatment in `moa_calls`, from a call of one mechanism to none for want of a profile."""


def moa_calls(
    consensus: FrameLike, activity: FrameLike, *, coverage: float = 0.9, metric: str = "cosine", seed: int = 0
) -> pl.DataFrame:
    """Call the mechanism of every active treatment, labelled or not, or abstain.

    References are all treatments and positive controls with a mechanism; a treatment is never compared with its own
    compound at any dose. Probabilities and sets are calibrated on the active labelled treatments, each as if its
    compound had not been labelled.

    Parameters
    ----------
    consensus
        Treatment profiles (level 5), one row per ``Metadata_perturbation``, with ``Metadata_pert_type``,
        ``Metadata_compound`` and ``Metadata_moa``, where ``A|B`` names two mechanisms. Without the last, or where it is
        NULL everywhere, there are no references.
    activity
        Table ``activity``: ``Metadata_perturbation`` and ``below_corrected_p``.
    coverage
        Probability that a set of mechanisms holds a mechanism of the treatment, for compounds that are like the
        labelled ones; at least 0.5, below 1.
    metric
        ``"cosine"`` or ``"correlation"``.
    seed
        Seed of the folds of compounds.

    Returns
    -------
    polars.DataFrame
        Table ``moa_call``: one row per treatment, active or not, with ``status``: ``called`` (one mechanism fits),
        ``ambiguous`` (several do), ``novel`` (none does), ``inactive``, ``not tested`` (no activity), ``too few
        references`` (with ``reason``), ``no profile``.

    Raises
    ------
    UsageError
        For a coverage out of range.
    SchemaError, UnknownNameError
        As `average_precision`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> names = [f"{moa}{i}" for moa in "abc" for i in range(6)]
    >>> profiles = np.repeat(rng.normal(size=(3, 30)), 6, axis=0) + 0.3 * rng.normal(size=(18, 30))
    >>> consensus = pl.DataFrame(profiles, schema=[f"Cells_{i}" for i in range(30)]).with_columns(
    ...     pl.Series("Metadata_perturbation", names), pl.Series("Metadata_compound", names),
    ...     pl.Series("Metadata_moa", [None if name == "b3" else name[0] for name in names]),
    ...     Metadata_pert_type=pl.lit("trt"),
    ... )
    >>> active = pl.DataFrame({"Metadata_perturbation": names, "below_corrected_p": [True] * 18})
    >>> moa_calls(consensus, active).filter(Metadata_perturbation="b3").select("predicted", "status").rows()
    [('b', 'called')]
    """
    if not 0.5 <= coverage < 1:
        raise UsageError(f"coverage must be at least 0.5 and below 1; found {coverage}")
    data = treatments_of(to_polars(consensus))
    if not data.height:
        return frame_of("moa_call")
    tested = to_polars(activity)
    require_columns(tested, [PERTURBATION, "below_corrected_p"], purpose="calls of mechanisms")
    is_active = (
        data.select(PERTURBATION)
        .join(tested.select(PERTURBATION, "below_corrected_p"), on=PERTURBATION, how="left", maintain_order="left")
        .get_column("below_corrected_p")
    )
    usable, vectors = _usable(data, metric)
    called = pl.DataFrame(schema={PERTURBATION: pl.String, "status": pl.String})
    n_features = None if vectors is None else len(vectors.features)
    has_profile = data[PERTURBATION].is_in(usable[PERTURBATION].implode())
    active = is_active.fill_null(value=False)
    taken = (active | pl.Series(MechanismLabels.of(data[MOA]).is_labelled)).filter(has_profile)
    if vectors is not None and taken.any():
        active = active.filter(has_profile).filter(taken)
        usable = usable.filter(taken)
        vectors = to_vectors(usable.select(PERTURBATION, *vectors.features), metric)
        is_treatment = (usable[PERT_TYPE] == "trt").to_numpy()
        labels = MechanismLabels.of(usable[MOA])
        fit = fit_classes(
            vectors,
            compound_codes(usable),
            labels.has,
            active.to_numpy() & is_treatment,
            strength=np.log(np.linalg.norm(feature_matrix(usable, vectors.features).astype(np.float64), axis=0)),
            coverage=coverage,
            seed=seed,
        )
        called = _calls(usable, fit, labels, coverage).filter(active)
    joined = data.drop(feature_columns(data)).join(called, on=PERTURBATION, how="left", maintain_order="left")
    status = (
        pl.when(~has_profile)
        .then(pl.lit("no profile"))
        .when(is_active.is_null())
        .then(pl.lit("not tested"))
        .when(~is_active)
        .then(pl.lit("inactive"))
        .otherwise(pl.col("status"))
    )
    made = joined.with_columns(status.alias("status"), n_features=pl.lit(n_features, pl.Int64))
    schema = get_table("moa_call").schema
    absent = [pl.lit(None, dtype).alias(name) for name, dtype in schema.items() if name not in made.columns]
    return declared_columns(made.with_columns(absent), "moa_call").sort(PERTURBATION)


def treatments_of(consensus: pl.DataFrame) -> pl.DataFrame:
    """Return the treatments and positive controls of level 5 profiles, sorted; absent annotation is NULL."""
    require_columns(consensus, [PERTURBATION], purpose="calls of mechanisms")
    missing = [pl.lit(None, pl.String).alias(name) for name in (COMPOUND, MOA) if name not in consensus.columns]
    kinds = [] if PERT_TYPE in consensus.columns else [pl.lit("trt").alias(PERT_TYPE)]
    own = consensus.with_columns(*missing, *kinds).with_columns(pl.col(COMPOUND, MOA).cast(pl.String))
    is_treatment = pl.col(PERT_TYPE).is_in(["trt", "poscon"]) & pl.col(PERTURBATION).is_not_null()
    return own.filter(is_treatment).sort(PERTURBATION)


def compound_codes(data: pl.DataFrame) -> NDArray[np.intp]:
    """Return a number for the compound of each treatment; one whose compound is not known is a compound of its own."""
    named = data.select(
        pl.coalesce(pl.lit("= ") + pl.col(COMPOUND), pl.lit("id ") + pl.col(PERTURBATION)).alias("compound")
    )
    return Groups.of(named, ["compound"]).codes


def with_shuffled_labels(treatments: pl.DataFrame, *, seed: int = 0) -> pl.DataFrame:
    """Exchange the mechanisms of the labelled compounds at random; the doses of a compound keep one label.

    Parameters
    ----------
    treatments
        What `treatments_of` returned.
    seed
        Seed of the exchange.

    Examples
    --------
    >>> treatments = pl.DataFrame({
    ...     "Metadata_perturbation": ["a@1", "a@2", "b@1"], "Metadata_compound": ["a", "a", "b"],
    ...     "Metadata_moa": ["x", "x", "y"],
    ... })
    >>> with_shuffled_labels(treatments, seed=3)["Metadata_moa"].to_list()
    ['y', 'y', 'x']
    """
    keyed = treatments.with_columns(pl.Series("_compound", compound_codes(treatments)))
    labelled = keyed.filter(pl.Series(MechanismLabels.of(keyed[MOA]).is_labelled))
    units = labelled.select("_compound", MOA).unique().sort("_compound", MOA)
    order = np.random.default_rng(seed).permutation(units.height)
    given = units.with_columns(units[MOA][order].alias("_given"))
    joined = keyed.join(given, on=["_compound", MOA], how="left", maintain_order="left")
    return joined.with_columns(pl.col("_given").alias(MOA)).drop("_compound", "_given")


def _usable(data: pl.DataFrame, metric: str) -> tuple[pl.DataFrame, Vectors | None]:
    """Return the treatments that have a profile with any effect, and their vectors; None without any."""
    if not feature_columns(data):
        return data.head(0), None
    whole = to_vectors(data, metric)
    usable = data[whole.rows[np.abs(whole.values).sum(axis=1) > 0]]
    return usable, to_vectors(usable, metric) if usable.height else None


def _calls(usable: pl.DataFrame, fit: ClassFit, labels: MechanismLabels, coverage: float) -> pl.DataFrame:
    """Return the call of every usable treatment, active or not."""
    is_found = fit.nearest >= 0
    near = usable[np.where(is_found, fit.nearest, 0)].select(
        pl.when(pl.Series(is_found)).then(pl.col(PERTURBATION)).alias("nearest"),
        pl.when(pl.Series(is_found)).then(pl.col(MOA)).alias("nearest_moa"),
        pl.Series("similarity", fit.similarity, nan_to_null=True),
    )
    about = usable.select(PERTURBATION).hstack(near)
    if fit.reason is not None:
        return about.with_columns(status=pl.lit("too few references"), reason=pl.lit(fit.reason))
    in_set = np.nan_to_num(fit.p_value) > 1 - coverage
    size = in_set.sum(axis=1)
    chance = np.where(in_set, fit.probability, -np.inf)
    order = np.argsort(-chance, axis=1, kind="stable")
    sets = [[labels.names[k] for k in own[:n]] for own, n in zip(order.tolist(), size.tolist(), strict=True)]
    is_comparable = (labels.has & (fit.n_compounds > 0)).any(axis=1)
    is_alone = labels.is_labelled & ~is_comparable
    top = chance[np.arange(len(chance)), order[:, 0]]
    return about.with_columns(
        pl.Series("status", np.array(["novel", "called", "ambiguous"])[np.minimum(size, 2)]),
        pl.Series("predicted", [names[0] if names else None for names in sets], dtype=pl.String),
        pl.Series("probability", np.where(size > 0, top, np.nan), nan_to_null=True),
        pl.Series("prediction_set", [SEPARATOR.join(names) or None for names in sets], dtype=pl.String),
        pl.Series("set_size", size, dtype=pl.Int32),
        pl.Series("best_p", np.nan_to_num(fit.p_value).max(axis=1)),
        pl.when(pl.Series(is_comparable)).then(pl.Series((labels.has & in_set).any(axis=1))).alias("is_label_in_set"),
        pl.when(pl.Series(is_alone)).then(pl.lit("no other compound has its mechanism")).alias("reason"),
    )


def call_scores(
    calls: pl.DataFrame,
    baselines: Mapping[str, Sequence[pl.DataFrame]],
    *,
    coverage: float,
    n_total: int,
    seed: int = 0,
) -> pl.DataFrame:
    """Score calls of labelled active treatments, each made as if its compound had not been labelled.

    Parameters
    ----------
    calls
        What `moa_calls` returned.
    baselines
        The same for each baseline: for its profiles, or for the real ones with labels shuffled, several times. A call
        is right where it is among the labels of its own frame.
    coverage
        The coverage that the sets were made for.
    n_total
        Treatments of the screen.
    seed
        Seed of the bootstrap.

    Returns
    -------
    polars.DataFrame
        Rows of table ``score``: ``moa_set_coverage``, the share of sets that hold a mechanism of the label, and
        ``moa_call_accuracy``, the share of the single calls that are right; a baseline that makes no call there counts
        as wrong.
    """
    judged = calls.filter((pl.col(PERT_TYPE) == "trt") & pl.col("is_label_in_set").is_not_null())
    held = score_rows(
        "moa_set_coverage",
        judged.with_columns(pl.col("is_label_in_set").alias(PROFILES)),
        description="share of labelled active treatments whose prediction_set holds the label; "
        f"{coverage:g} is what the sets are made for",
        n_total=n_total,
        n_features=_n_features(calls),
        seed=seed,
    )
    called = judged.filter(status="called").with_columns(_is_right("predicted").alias(PROFILES))
    for name, runs in baselines.items():
        found = [own.select(PERTURBATION, _is_right("predicted").fill_null(value=False).alias(name)) for own in runs]
        if found:
            mean = pl.concat(found).group_by(PERTURBATION).agg(pl.col(name).cast(pl.Float64).mean())
            called = called.join(mean, on=PERTURBATION, how="left", maintain_order="left")
    right = score_rows(
        "moa_call_accuracy",
        called,
        description="share of the single calls of labelled active treatments that are right; the others are ambiguous "
        "or novel",
        n_total=n_total,
        n_features=_n_features(calls),
        seed=seed,
    )
    return pl.concat([held, right])


def _is_right(column: str) -> pl.Expr:
    """Whether a mechanism is among those of the label."""
    split = pl.col(MOA).str.split(SEPARATOR).list.eval(pl.element().str.strip_chars())
    return split.list.contains(pl.col(column))


def _n_features(calls: pl.DataFrame) -> int | None:
    return int(calls["n_features"][0]) if calls.height and calls["n_features"][0] is not None else None
