"""Mechanisms by nearest neighbours, beside baselines that use no morphology."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError, UsageError
from phenoprint.evaluation.baselines import count_baseline, position_baseline
from phenoprint.evaluation.nulls import known, null_counts
from phenoprint.evaluation.similarities import block_rows, similarity_block, to_vectors
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
        Accuracy of the nearest neighbour by ``Metadata_Object_Count`` alone, and by the well's row and column
        alone, under the same rules; None where some predicted profile has none.
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
        The column to predict.
    not_same
        A neighbour must differ in every one of these columns.
    metric
        ``"cosine"``, ``"correlation"`` or ``"euclidean"``.
    k
        Neighbours that vote; a tie goes to the label of the nearest among the tied.
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
    labels = Groups.of(data, [label]).codes[rows]
    keys = [Groups.of(data, [name]).codes[rows] for name in not_same]
    n = len(rows)
    k = min(k, max(n - 1, 1))
    neighbours, similarity = np.zeros((n, k), np.intp), np.full((n, k), -np.inf, np.float32)
    step = block_rows(n)
    for start in range(0, n, step):
        block = slice(start, min(start + step, n))
        near = np.where(eligible(keys, block), similarity_block(vectors, block), np.float32(-np.inf))
        order = np.argsort(-near, axis=1, kind="stable")[:, :k]
        neighbours[block] = order
        similarity[block] = np.take_along_axis(near, order, axis=1)
    there = np.isfinite(similarity)
    predicted = _vote(labels, neighbours, there)
    has = there[:, 0]
    accuracy = float((predicted == labels)[has].mean()) if has.any() else float("nan")
    shuffled = _shuffled(labels, keys, neighbours, there, n_shuffles=n_shuffles, seed=seed)
    usable = data[rows]
    return MoaAccuracy(
        accuracy=accuracy,
        n=int(has.sum()),
        n_unpredicted=data.height - int(has.sum()),
        predictions=_predictions(
            data,
            rows,
            label,
            not_same,
            predicted=predicted,
            nearest=neighbours[:, 0],
            similarity=similarity[:, 0],
        ),
        shuffled_accuracy=float(shuffled.mean()) if len(shuffled) else float("nan"),
        shuffled_sd=float(shuffled.std()) if len(shuffled) else float("nan"),
        shuffled_p=float((1 + (shuffled >= accuracy - 1e-12).sum()) / (1 + len(shuffled))),
        count_accuracy=count_baseline(usable, labels, keys),
        position_accuracy=position_baseline(usable, labels, keys),
        n_features=len(vectors.features),
        dropped_features=vectors.dropped,
        label=label,
        not_same=tuple(not_same),
        metric=metric,
        k=k,
    )


def eligible(keys: Sequence[NDArray[np.intp]], block: slice) -> NDArray[np.bool_]:
    """Whether each row may be a neighbour of each query: another row that differs in every key."""
    n = len(keys[0]) if keys else 0
    rows = np.arange(n)
    mask: NDArray[np.bool_] = rows[block][:, None] != rows[None, :]
    for key in keys:
        mask &= key[block][:, None] != key[None, :]
    return mask


def _vote(labels: NDArray[np.intp], neighbours: NDArray[np.intp], there: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Most common label of each row's neighbours; between equals, that of the nearest."""
    voted = labels[neighbours]
    same = (voted[:, :, None] == voted[:, None, :]) & there[:, :, None] & there[:, None, :]
    # argmax takes the first of equals, and neighbours are in order of distance.
    best = same.sum(axis=2).argmax(axis=1)
    winner: NDArray[np.intp] = voted[np.arange(len(voted)), best]
    return winner


def _shuffled(
    labels: NDArray[np.intp],
    keys: Sequence[NDArray[np.intp]],
    neighbours: NDArray[np.intp],
    there: NDArray[np.bool_],
    *,
    n_shuffles: int,
    seed: int,
) -> NDArray[np.float64]:
    """Accuracy with labels shuffled between treatments; the neighbours are unchanged."""
    has = there[:, 0]
    if not has.any():
        return np.empty(0)
    treatment = keys[0] if keys else np.arange(len(labels))
    units, unit = np.unique(np.column_stack([treatment, labels]), axis=0, return_inverse=True)
    rng = np.random.default_rng(seed)
    scores = np.empty(n_shuffles)
    for i in range(n_shuffles):
        given = rng.permutation(units[:, 1])[unit]
        scores[i] = (_vote(given, neighbours, there) == given)[has].mean()
    return scores


def _predictions(
    data: pl.DataFrame,
    rows: NDArray[np.intp],
    label: str,
    not_same: Sequence[str],
    *,
    predicted: NDArray[np.intp],
    nearest: NDArray[np.intp],
    similarity: NDArray[np.float32],
) -> pl.DataFrame:
    values = Groups.of(data, [label]).keys.get_column(label)
    has = np.isfinite(similarity)
    named = not_same[0] if not_same else label
    found = pl.DataFrame(
        {
            "row": rows[has],
            "predicted": values[predicted[has]],
            "nearest": data.get_column(named)[rows[nearest[has]]],
            "similarity": pl.Series(similarity[has], dtype=pl.Float32).cast(pl.Float64),
        }
    ).with_columns(pl.col("row").cast(pl.UInt32))
    joined = data.select(metadata_columns(data)).with_row_index("row").join(found, on="row", how="left").sort("row")
    correct = (pl.col("predicted") == pl.col(label)).alias("is_correct")
    return joined.select(*metadata_columns(data), "predicted", correct, "nearest", "similarity")
