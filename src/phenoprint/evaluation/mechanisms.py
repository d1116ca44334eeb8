"""Mechanisms by nearest neighbours, beside baselines that use no morphology."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError, UsageError
from phenoprint.evaluation.baselines import baseline_profiles
from phenoprint.evaluation.mechanism_labels import MechanismLabels
from phenoprint.evaluation.neighbour_votes import NeighbourVotes, neighbour_votes
from phenoprint.evaluation.nulls import known, null_counts
from phenoprint.evaluation.similarities import to_vectors
from phenoprint.tables import Groups, metadata_columns, require_columns, to_polars

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FrameLike

__all__ = ["MoaAccuracy", "moa_accuracy"]


@dataclass(frozen=True, repr=False)
class MoaAccuracy:
    """Outcome of `moa_accuracy`; its text form is one line with the baselines.

    Attributes
    ----------
    accuracy
        Share of profiles whose predicted label is right; NaN where `n` is 0.
    n
        Profiles with a prediction.
    n_unpredicted
        Labelled profiles without an eligible neighbour, or that are no profile (wells without cells).
    predictions
        One row per labelled profile: its metadata, ``predicted``, ``is_correct``, ``nearest`` (the nearest
        neighbour's value in the first column of `not_same`), ``similarity`` (to it); NULL where there is no
        prediction.
    shuffled_accuracy, shuffled_sd
        Mean and standard deviation with labels shuffled between treatments.
    shuffled_p
        Share of shuffles, counting the real labels as one, that score at least as high.
    count_accuracy, position_accuracy
        Accuracy by ``Metadata_Object_Count`` alone, and by the well's position alone, under the same rules (see
        `baseline_profiles`); None where some predicted profile has none.
    n_features
        Features used.
    dropped_features
        Features left out since many profiles lack a value.
    label, not_same, metric, k
        The arguments.
    """

    accuracy: float
    n: int
    n_unpredicted: int
    predictions: pl.DataFrame
    shuffled_accuracy: float
    shuffled_sd: float
    shuffled_p: float
    count_accuracy: float | None
    position_accuracy: float | None
    n_features: int
    dropped_features: tuple[str, ...]
    label: str
    not_same: tuple[str, ...]
    metric: str
    k: int

    def __repr__(self) -> str:
        """Write score, number and baselines on one line."""
        apart = f", not same {', '.join(self.not_same)}" if self.not_same else ""
        beside = [f"shuffled labels {self.shuffled_accuracy:.3f} (p = {self.shuffled_p:.2g})"]
        for name, value in (("cell count", self.count_accuracy), ("well position", self.position_accuracy)):
            beside.append(f"{name} alone {'not known' if value is None else f'{value:.3f}'}")
        left = f", {self.n_unpredicted} without prediction" if self.n_unpredicted else ""
        return (
            f"moa_accuracy({self.label}{apart}) = {self.accuracy:.3f}, n = {self.n}{left}; "
            f"{', '.join(beside)}; {self.n_features} features"
        )


def moa_accuracy(
    frame: FrameLike,
    label: str = "Metadata_moa",
    not_same: Sequence[str] = ("Metadata_compound",),
    *,
    metric: str = "cosine",
    k: int = 1,
    missing: str = "impute",
    n_shuffles: int = 1000,
    seed: int = 0,
) -> MoaAccuracy:
    """Predict the label of each treatment from its nearest neighbours among other treatments.

    With ``not_same=["Metadata_compound"]`` this is not-same-compound accuracy (NSC), with the batch added
    NSCB (Ljosa et al., J Biomol Screen 18:1321, 2013; Ando et al., bioRxiv 161422, 2017).

    Parameters
    ----------
    frame
        Treatment profiles, such as those of `consensus`. Rows with NULL as label are left out: they can be
        neither right nor wrong.
    label
        The column to predict. Text such as ``A|B`` names several mechanisms: each counts, and either is right.
    not_same
        A neighbour must differ in every one of these columns.
    metric
        ``"cosine"``, ``"correlation"`` or ``"euclidean"``.
    k
        Neighbours that vote. A tie goes to the label of the nearest among the tied; neighbours at the same distance
        share the vote, which cell counts make common.
    missing
        ``"impute"`` or ``"error"`` for missing values; see `to_vectors`.
    n_shuffles
        Shuffles of the labels between treatments; a treatment is one value of the first of `not_same`, or of
        that and the label where it has several, so that doses of a compound keep one label.
    seed
        Seed of the shuffles.

    Returns
    -------
    MoaAccuracy
        The accuracy with its baselines; the calls are in ``predictions``.

    Raises
    ------
    SchemaError
        Where a labelled profile has NULL in `not_same`: whether it is the same cannot be known.
    UnknownNameError
        For an absent column or an unknown metric.
    UsageError
        For k below 1, or no labelled profile.

    Examples
    --------
    >>> frame = pl.DataFrame({"Metadata_moa": list("aabb"), "Metadata_compound": list("wxyz")}).with_columns(
    ...     f=pl.Series([1.0, 0.9, -1.0, -0.8]), g=pl.Series([0.1, 0.2, 0.3, 0.2])
    ... )
    >>> moa_accuracy(frame, n_shuffles=9)  # doctest: +ELLIPSIS
    moa_accuracy(Metadata_moa, not same Metadata_compound) = 1.000, n = 4; shuffled labels ...; 2 features
    """
    data = to_polars(frame)
    require_columns(data, [label, *not_same], purpose="the accuracy of mechanisms")
    if k < 1:
        raise UsageError(f"k must be 1 or more; found {k}")
    every, data = data.height, known(data, [label])
    if not data.height:
        raise UsageError(
            f"no profile has a {label}: it is NULL in {every} of {every} rows; annotate the plate map, or name "
            "another label"
        )
    unknown = null_counts(data, not_same)
    if unknown:
        raise SchemaError(
            f"neighbours of the same {', '.join(not_same)} must be left out; {unknown} with a {label}. "
            "Fill it or filter those rows"
        )
    vectors = to_vectors(data, metric, missing=missing)
    rows = vectors.rows
    labels = MechanismLabels.of(data.get_column(label))
    codes = [Groups.of(data, [name]).codes for name in not_same]
    votes = neighbour_votes(
        vectors, labels.has[rows], [key[rows] for key in codes], k=k, n_shuffles=n_shuffles, seed=seed
    )
    has = votes.predicted >= 0
    accuracy = float(votes.correct[has].mean()) if has.any() else float("nan")
    shuffled = votes.shuffled_means if has.any() else np.empty(0)
    usable = data[rows]
    beside = {}
    for name, frame_of_baseline in baseline_profiles(usable).items():
        own = to_vectors(frame_of_baseline, metric)
        if len(own.rows) == usable.height:  # a baseline of some rows only would be of other treatments
            found = neighbour_votes(own, labels.has[rows], [key[rows] for key in codes], k=k).correct
            beside[name] = float(found[has].mean()) if has.any() else float("nan")
    return MoaAccuracy(
        accuracy=accuracy,
        n=int(has.sum()),
        n_unpredicted=data.height - int(has.sum()),
        predictions=_predictions(data, rows, label, not_same, labels=labels, votes=votes),
        shuffled_accuracy=float(shuffled.mean()) if len(shuffled) else float("nan"),
        shuffled_sd=float(shuffled.std()) if len(shuffled) else float("nan"),
        shuffled_p=float((1 + (shuffled >= accuracy - 1e-12).sum()) / (1 + len(shuffled))),
        count_accuracy=beside.get("cell_count"),
        position_accuracy=beside.get("well_position"),
        n_features=len(vectors.features),
        dropped_features=vectors.dropped,
        label=label,
        not_same=tuple(not_same),
        metric=metric,
        k=k,
    )


def _predictions(
    data: pl.DataFrame,
    rows: NDArray[np.intp],
    label: str,
    not_same: Sequence[str],
    *,
    labels: MechanismLabels,
    votes: NeighbourVotes,
) -> pl.DataFrame:
    has = votes.predicted >= 0
    named = not_same[0] if not_same else label
    found = pl.DataFrame(
        {
            "row": rows[has],
            "predicted": pl.Series(labels.names, dtype=pl.String)[votes.predicted[has]],
            "is_correct": labels.has[rows[has], votes.predicted[has]],
            "nearest": data.get_column(named)[rows[votes.nearest[has]]],
            "similarity": votes.similarity[has],
        }
    ).with_columns(pl.col("row").cast(pl.UInt32))
    joined = data.select(metadata_columns(data)).with_row_index("row").join(found, on="row", how="left").sort("row")
    return joined.select(*metadata_columns(data), "predicted", "is_correct", "nearest", "similarity")
