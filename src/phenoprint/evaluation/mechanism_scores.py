"""How often the nearest other compound has the same mechanism: several protocols, each beside its baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from phenoprint.errors import UnknownNameError
from phenoprint.evaluation.mechanism_labels import MechanismLabels
from phenoprint.evaluation.moa_calls import compound_codes
from phenoprint.evaluation.neighbour_votes import NeighbourVotes, neighbour_votes
from phenoprint.evaluation.scores import BASELINES, PROFILES, score_rows
from phenoprint.evaluation.similarities import to_vectors
from phenoprint.tables import (
    BATCH,
    COMPOUND,
    MOA,
    PERT_TYPE,
    PERTURBATION,
    PLATE,
    Groups,
    declared_columns,
    feature_columns,
    frame_of,
    require_columns,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.evaluation.similarities import Vectors

    Floats = NDArray[np.float64]

__all__ = ["MECHANISM_PROTOCOLS", "MechanismProtocol", "MechanismScores", "mechanism_scores"]

_SHUFFLES: Final = 200


@dataclass(frozen=True)
class MechanismProtocol:
    """A rule of comparison.

    Attributes
    ----------
    name
        Name in column ``protocol``.
    score
        Name in table ``score``, for active treatments; ``_macro`` and ``_all_treatments`` are added to it.
    apart
        A column in which the neighbour differs, beside the compound; each treatment has one profile per value of it.
        None: one profile per treatment.
    is_vote
        Whether several neighbours vote, or the nearest decides.
    words
        What is counted, in words.
    """

    name: str
    score: str
    apart: str | None
    is_vote: bool
    words: str


MECHANISM_PROTOCOLS: Final = (
    MechanismProtocol(
        "not_same_compound", "moa_accuracy", None, False, "the nearest treatment of another compound has the mechanism"
    ),
    MechanismProtocol(
        "not_same_batch",
        "moa_accuracy_not_same_batch",
        BATCH,
        False,
        "the nearest treatment of another compound in another batch has the mechanism; profiles by batch",
    ),
    MechanismProtocol(
        "not_same_plate",
        "moa_accuracy_not_same_plate",
        PLATE,
        False,
        "the nearest treatment of another compound on another plate has the mechanism; profiles by plate",
    ),
    MechanismProtocol(
        "neighbours",
        "moa_accuracy_neighbours",
        None,
        True,
        "the nearest treatments of other compounds vote for the mechanism",
    ),
)
"""The protocols of `mechanism_scores`: NSC, NSCB (Ljosa et al., J Biomol Screen 18:1321, 2013; Ando et al., bioRxiv
161422, 2017), the same between plates, and a vote of k neighbours."""


@dataclass(frozen=True)
class MechanismScores:
    """Outcome of `mechanism_scores`.

    Attributes
    ----------
    predictions
        Rows of table ``moa_prediction``: one per treatment that could be compared, the active ones with active ones,
        the others with all.
    confusion
        Rows of table ``moa_confusion``: active treatments by protocol, mechanism and prediction.
    scores
        Rows of table ``score``.
    """

    predictions: pl.DataFrame
    confusion: pl.DataFrame
    scores: pl.DataFrame


def mechanism_scores(
    protocol: MechanismProtocol,
    profiles: pl.DataFrame,
    baselines: Mapping[str, pl.DataFrame],
    active: Sequence[str],
    *,
    n_total: int,
    metric: str = "cosine",
    k: int = 5,
    seed: int = 0,
) -> MechanismScores:
    """Predict the mechanism of each labelled treatment from its neighbours, by profiles and by each baseline.

    A treatment is compared with treatments and positive controls of other compounds, and is scored where one of these
    has its mechanism. Active treatments are compared with active ones, and all with all.

    Parameters
    ----------
    protocol
        One of `MECHANISM_PROTOCOLS`.
    profiles
        One row per treatment, or per treatment and value of `protocol.apart`, with its annotation and features. Rows
        without a mechanism are left out.
    baselines
        What `baseline_profiles` made for the same rows, by name; rows are matched by treatment and `protocol.apart`.
    active
        The active treatments, ``Metadata_perturbation``.
    n_total
        Treatments of the screen.
    metric
        As in `average_precision`.
    k
        Neighbours of the protocol in which they vote.
    seed
        Seed of the shuffled labels and of the bootstrap.
    """
    for name in baselines:
        if name not in BASELINES:
            raise UnknownNameError("baseline", name, BASELINES)
    keys = [PERTURBATION, *([protocol.apart] if protocol.apart else [])]
    require_columns(profiles, [*keys, COMPOUND, MOA, PERT_TYPE], purpose="scores of mechanisms")
    labelled = MechanismLabels.of(profiles[MOA]).is_labelled
    data = profiles.filter(pl.Series(labelled)).drop_nulls(keys).sort(keys)
    predictions, scores = [], []
    for suffix, words, chosen in (
        ("", "active treatments", data.filter(pl.col(PERTURBATION).is_in(list(active)))),
        ("_all_treatments", "all treatments", data),
    ):
        run = _Comparison.of(protocol, chosen, metric, k)
        outcomes = run.outcomes(baselines, keys, seed)
        for macro in (False, True):
            rows = outcomes
            if macro:
                split = pl.col(MOA).str.split("|").list.eval(pl.element().str.strip_chars())
                rows = outcomes.with_columns(split.alias("mechanism")).explode("mechanism")
            average = "mean over mechanisms of the share" if macro else "share"
            why = f"; not scored: {run.reason}" if run.reason else ""
            scores.append(
                score_rows(
                    f"{protocol.score}{'_macro' if macro else ''}{suffix}",
                    rows,
                    description=f"{average} of {words} for which {protocol.words}{why}",
                    n_total=n_total,
                    n_features=run.n_features,
                    group="mechanism" if macro else None,
                    seed=seed,
                )
            )
        predictions.append(run.predictions(outcomes, active).filter(pl.col("is_active") == (suffix == "")))
    made = pl.concat(predictions).sort(PERTURBATION)
    return MechanismScores(made, _confusion(protocol, predictions[0]), pl.concat(scores))


@dataclass(frozen=True)
class _Comparison:
    """The labelled rows that take part in one comparison.

    ``treatments`` numbers the treatment of each row, ``asked`` marks the rows that are predicted; ``reason`` is why
    there are none.
    """

    protocol: MechanismProtocol
    data: pl.DataFrame
    vectors: Vectors | None
    labels: MechanismLabels
    treatments: NDArray[np.intp]
    asked: NDArray[np.bool_]
    metric: str
    k: int
    reason: str | None

    @classmethod
    def of(cls, protocol: MechanismProtocol, data: pl.DataFrame, metric: str, k: int) -> _Comparison:
        """Take the rows with a profile, and find those that could be predicted rightly."""
        vectors = to_vectors(data, metric) if data.height and feature_columns(data) else None
        data = data[vectors.rows] if vectors is not None else data.head(0)
        labels = MechanismLabels.of(data[MOA])
        treatments = Groups.of(data, [PERTURBATION]).codes
        keys = _keys(protocol, data)
        has_partner = _has_partner(labels.has, keys)
        asked = has_partner & (data[PERT_TYPE] == "trt").fill_null(value=False).to_numpy()
        n_classes = int(labels.has[asked].any(axis=0).sum())
        reason = None
        if not data.height:
            reason = "no such treatment has a mechanism"
        elif protocol.apart and data[protocol.apart].n_unique() < 2:
            reason = f"all are in the same {protocol.apart}"
        elif n_classes < 2:
            reason = "fewer than two mechanisms are shared by compounds that may be compared"
        if reason is not None:
            asked = np.zeros(data.height, dtype=bool)
        return cls(protocol, data, vectors, labels, treatments, asked, metric, k, reason)

    @property
    def n_features(self) -> int | None:
        """Features of the profiles."""
        return None if self.vectors is None else len(self.vectors.features)

    def votes(self, vectors: Vectors, rows: NDArray[np.intp], *, n_shuffles: int = 0, seed: int = 0) -> NeighbourVotes:
        """Let neighbours vote among some of the rows, whose vectors these are."""
        return neighbour_votes(
            vectors,
            self.labels.has[rows],
            [key[rows] for key in _keys(self.protocol, self.data)],
            queries=self.asked[rows],
            k=self.k if self.protocol.is_vote else 1,
            n_shuffles=n_shuffles,
            seed=seed,
        )

    def outcomes(self, baselines: Mapping[str, pl.DataFrame], keys: Sequence[str], seed: int) -> pl.DataFrame:
        """Return one row per treatment: annotation, prediction, and the outcome of the profiles and each baseline."""
        n, rows = self.data.height, np.arange(self.data.height)
        found: dict[str, Floats] = {name: np.full(n, np.nan) for name in (PROFILES, *baselines, "shuffled_labels")}
        votes: NeighbourVotes | None = None
        if self.vectors is not None and self.asked.any():
            votes = self.votes(self.vectors, rows, n_shuffles=_SHUFFLES, seed=seed)
            found[PROFILES], found["shuffled_labels"] = votes.correct, votes.shuffled
            for name, frame in baselines.items():
                matched = self.data.select(keys).join(
                    frame.select(*keys, *feature_columns(frame)), on=keys, how="left", maintain_order="left"
                )
                vectors = to_vectors(matched, self.metric)
                if len(vectors.rows):
                    found[name][vectors.rows] = self.votes(vectors, vectors.rows).correct
        return self._by_treatment(found, votes)

    def _by_treatment(self, found: Mapping[str, Floats], votes: NeighbourVotes | None) -> pl.DataFrame:
        """Average the rows of each treatment; its prediction is the most frequent one."""
        n = self.data.height
        predicted = np.full(n, -1, np.intp) if votes is None else votes.predicted
        nearest = np.full(n, -1, np.intp) if votes is None else votes.nearest
        similarity = np.full(n, np.nan) if votes is None else votes.similarity
        names = pl.Series([*self.labels.names, None], dtype=pl.String)
        others = pl.concat([self.data[PERTURBATION], pl.Series([None], dtype=pl.String)])
        padded = np.column_stack([self.labels.has, np.zeros(n, dtype=bool)])
        rows = self.data.select(PERTURBATION, COMPOUND, MOA).with_columns(
            names[np.where(predicted >= 0, predicted, len(self.labels.names))].alias("predicted"),
            pl.Series("is_correct", padded[np.arange(n), predicted], dtype=pl.Boolean),
            others[np.where(nearest >= 0, nearest, n)].alias("nearest"),
            pl.Series("similarity", similarity, nan_to_null=True),
            *(pl.Series(name, values, nan_to_null=True) for name, values in found.items()),
        )
        mode = (
            rows.drop_nulls("predicted")
            .group_by(PERTURBATION, "predicted")
            .agg(
                pl.len().alias("votes"),
                pl.col("is_correct").first(),
                pl.col("nearest", "similarity").sort_by("similarity", "nearest").last(),
            )
            .sort(PERTURBATION, "votes", "similarity", "predicted", descending=[False, True, True, False])
            .unique(PERTURBATION, keep="first", maintain_order=True)
            .drop("votes")
        )
        means = rows.group_by(PERTURBATION).agg(pl.col(COMPOUND, MOA).first(), pl.col(list(found)).mean())
        return means.join(mode, on=PERTURBATION, how="left").sort(PERTURBATION)

    def predictions(self, outcomes: pl.DataFrame, active: Sequence[str]) -> pl.DataFrame:
        """Return the rows of table ``moa_prediction``."""
        made = outcomes.drop_nulls(PROFILES).with_columns(
            pl.lit(self.protocol.name).alias("protocol"),
            pl.col(PERTURBATION).is_in(list(active)).alias("is_active"),
            pl.col(PROFILES).alias("share_correct"),
            pl.lit(self.n_features, pl.Int64).alias("n_features"),
        )
        return declared_columns(made, "moa_prediction")


def _keys(protocol: MechanismProtocol, data: pl.DataFrame) -> list[NDArray[np.intp]]:
    apart = [Groups.of(data, [protocol.apart]).codes] if protocol.apart else []
    return [compound_codes(data), *apart]


def _has_partner(has: NDArray[np.bool_], keys: Sequence[NDArray[np.intp]]) -> NDArray[np.bool_]:
    """Whether a row shares a mechanism with one that differs from it in each of one or two keys."""
    found = np.zeros(len(has), dtype=bool)
    for column in has.T:
        rows = np.flatnonzero(column)
        own = [key[rows] for key in keys]
        n_same = sum(_number_of(key[:, None]) for key in own)
        if len(own) > 1:
            n_same = n_same - _number_of(np.column_stack(own))
        found[rows] |= n_same < len(rows)
    return found


def _number_of(values: NDArray[np.intp]) -> NDArray[np.intp]:
    """Count how many rows equal each row, itself included."""
    _, unit, counts = np.unique(values, axis=0, return_inverse=True, return_counts=True)
    number: NDArray[np.intp] = counts[unit.ravel()]
    return number


def _confusion(protocol: MechanismProtocol, predictions: pl.DataFrame) -> pl.DataFrame:
    """Count the predictions of each mechanism; a treatment with several mechanisms counts for each."""
    if predictions.is_empty():
        return frame_of("moa_confusion")
    split = pl.col(MOA).str.split("|").list.eval(pl.element().str.strip_chars())
    each = predictions.with_columns(split.alias("mechanism")).explode("mechanism")
    counts = each.group_by("mechanism", "predicted").agg(
        pl.len().cast(pl.Int64).alias("n"), pl.col(COMPOUND).n_unique().cast(pl.Int64).alias("n_compounds")
    )
    total = pl.col("n").sum().over("mechanism")
    made = counts.with_columns(
        total.alias("n_mechanism"), (pl.col("n") / total).alias("share"), pl.lit(protocol.name).alias("protocol")
    )
    return declared_columns(made, "moa_confusion").sort("mechanism", "predicted")
