"""Which treatments differ from the negative controls: calibrated p values from cross-fitted profiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from phenoprint.evaluation.fold_profiles import FoldProfiles, fold_profiles, seed_of, treated_wells
from phenoprint.evaluation.positions import ControlPositions, control_positions
from phenoprint.tables import (
    COMPOUND,
    MOA,
    PERT_TYPE,
    PERTURBATION,
    WELL_KEY,
    declared_columns,
    frame_of,
    to_polars,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.evaluation.permutations import PermutationTest
    from phenoprint.evaluation.similarities import Vectors
    from phenoprint.tables import FrameLike, IntArray

__all__ = [
    "ACTIVITY_STATUSES",
    "COUNT_ONLY",
    "TreatmentTest",
    "Verdict",
    "active_beyond_count",
    "activity",
    "combined",
    "compare_treatments",
    "corrected_p",
    "correlation_of_folds",
    "judged",
    "prepare",
]

COUNT_ONLY: Final = "active only by cell count"
ABOUT: Final = [COMPOUND, "Metadata_Concentration", "Metadata_Concentration_Unit", MOA, PERT_TYPE]
ACTIVITY_STATUSES: Final = {
    "ok": "tested against the controls of its plates",
    "judged against control positions": "replicates share a well position, and position makes wells alike; the p value "
    "is the larger of the usual one and one against controls that share positions in the same way",
    "position not judged": "replicates share a well position, and too few controls do to find whether position alone "
    "makes wells alike",
    "all alike": "every order of its wells and the controls scores the same, such as with constant profiles",
    "too few controls": "the smallest p value that these wells can reach is above the threshold",
    COUNT_ONLY: "active, but cell counts alone find it active too, and without the direction in which profiles differ "
    "with the number of cells it is not",
    "not cross-fitted": "the recipe was fitted on the controls that are the negatives; p values may be too small",
    "one replicate": "fewer than two wells with a profile: not tested",
    "no profile": "no well has enough values for a profile: not tested",
    "no controls": "no negative control on its plates: not tested",
}
"""Status of a treatment in table ``activity`` and what it means."""

_MOST_DRAWS = 1_000_000
_PRIOR, _PRIOR_WEIGHT = 0.5, 10.0  # correlation between folds, measured on simulated screens: 0.2 to 0.75
_LARGEST_CORRELATION = 0.95
_NULL_LIKE = 1.0  # a mean normal score below it looks like that of a treatment without effect


@dataclass(frozen=True)
class TreatmentTest:
    """A treatment and its test in each fold.

    Attributes
    ----------
    name
        The treatment.
    rows
        Its wells in each fold.
    tests
        The outcome in each fold; None where a fold has fewer than two wells or no control.
    shares_places
        Whether several of its wells are in the same position of different plates.
    """

    name: str
    rows: tuple[IntArray, ...]
    tests: tuple[PermutationTest | None, ...]
    shares_places: bool

    @property
    def known(self) -> list[PermutationTest]:
        """The outcomes of the folds that have one."""
        return [test for test in self.tests if test is not None]


def activity(
    folds: Sequence[FrameLike],
    *,
    null_size: int = 10_000,
    threshold: float = 0.05,
    seed: int = 0,
    is_cross_fitted: bool | None = None,
    vectors: Sequence[Callable[[pl.DataFrame], Vectors]] | None = None,
) -> pl.DataFrame:
    """Test whether the replicates of each treatment find each other before the negative controls of their plates.

    Mean average precision after Kalinin et al., Nature Communications 2025. The negatives of a replicate are the
    controls on the plates of the other replicates, so that differences between plates count neither for nor against a
    treatment. P values come from exchanging treated wells and controls within plates (`permutation_test`): a treatment
    that does nothing has p < 0.05 in 5 % of cases. That holds only if the recipe was not fitted on these controls:
    give the folds that `phenoprint.profiles.cross_fit` returns. The normal scores of the p values of the folds are
    averaged; their correlation is estimated from the treatments that look inert.

    Parameters
    ----------
    folds
        Well profiles of each fold: all treatments, and the controls that the fold was not fitted on.
    null_size
        Random orders of each treatment and fold; ten and a hundred times as many (up to a million) for treatments
        that score above all of them where the corrected level needs a smaller p value.
    threshold
        For the columns ``below_corrected_p`` and the status ``too few controls``.
    seed
        Seed of the draws.
    is_cross_fitted
        Whether no fold was fitted on its controls; default: whether there are several folds.
    vectors
        For each fold: makes the vectors of some of the wells, where the frames hold metadata only.

    Returns
    -------
    polars.DataFrame
        Table ``activity``: one row per treatment with any well, see `ACTIVITY_STATUSES`. A well without
        ``Metadata_perturbation`` belongs to no treatment. A treatment that is a negative control in other wells is left
        out, see `also_controls`.

    Notes
    -----
    Wells in the same position are no pair where the replicates of a treatment lie in several positions. Where some
    share a position, controls decide (`control_positions`): if controls in the same position of different plates are
    more alike than others, the treatment must also be more alike than groups of controls in as many positions.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> kinds = ["taxol"] * 4 + ["inert"] * 4 + ["DMSO"] * 16
    >>> wells = pl.DataFrame({
    ...     "Metadata_Plate": ["p"] * 24,
    ...     "Metadata_Well": [f"A{i:02d}" for i in range(24)],
    ...     "Metadata_perturbation": kinds,
    ...     "Metadata_pert_type": ["trt"] * 8 + ["negcon"] * 16,
    ... }).hstack(pl.DataFrame(rng.normal(size=(24, 5)), schema=list("abcde")))
    >>> wells = wells.with_columns(a=pl.col("a") + 9 * (pl.col("Metadata_perturbation") == "taxol"))
    >>> activity([wells], is_cross_fitted=True).select("Metadata_perturbation", "below_corrected_p", "status").rows()
    [('inert', False, 'ok'), ('taxol', True, 'ok')]
    """
    if not folds:
        return frame_of("activity")
    prepared = prepare(folds, vectors)
    found = compare_treatments(prepared, null_size=null_size, seed=seed)
    positions = control_positions(prepared, seed=seed)
    verdicts = judged(found, positions)
    level = null_size
    while level < _MOST_DRAWS:  # only for treatments that more draws could bring below the corrected level
        level = min(10 * level, _MOST_DRAWS)
        corrected = corrected_p([verdict.p_value for verdict in verdicts])
        short = [
            at
            for at, treatment in enumerate(found)
            if corrected[at] >= threshold and any(test.is_at_floor for test in treatment.known)
        ]
        if not short:
            break
        for at in short:
            found[at] = _test(prepared, found[at].name, null_size=level, seed=seed)
        verdicts = judged(found, positions)
    done = len(prepared) > 1 if is_cross_fitted is None else is_cross_fitted
    table = _rows(prepared, found, verdicts, threshold=threshold, is_cross_fitted=done)
    return declared_columns(_about(folds, table), "activity").sort(PERTURBATION)


def prepare(
    folds: Sequence[FrameLike], vectors: Sequence[Callable[[pl.DataFrame], Vectors]] | None = None
) -> list[FoldProfiles]:
    """Prepare the profiles of each fold, see `fold_profiles`."""
    makers: Sequence[Callable[[pl.DataFrame], Vectors] | None] = [None] * len(folds) if vectors is None else vectors
    return [fold_profiles(frame, maker) for frame, maker in zip(folds, makers, strict=True)]


def active_beyond_count(
    folds: Sequence[FrameLike],
    names: Sequence[str],
    *,
    count: str,
    null_size: int = 10_000,
    threshold: float = 0.05,
    seed: int = 0,
    vectors: Sequence[Callable[[pl.DataFrame], Vectors]] | None = None,
) -> list[str]:
    """Return which treatments differ from the controls also without what goes along with the number of cells.

    The direction in which profiles differ with the (log) number of cells is left out of all profiles, and the
    treatments are tested as in `activity`.

    Parameters
    ----------
    folds, null_size, seed, vectors
        As in `activity`.
    names
        The treatments to test, such as those that are active and that cell counts alone find active.
    count
        Column of the number of cells.
    threshold
        For the p value, which is not corrected: a treatment is left out of the result only where there is little
        evidence for it.
    """
    if not names:
        return []
    prepared = [fold.without_count(count) for fold in prepare(folds, vectors)]
    found = compare_treatments(prepared, null_size=null_size, seed=seed, names=names)
    verdicts = judged(found, control_positions(prepared, seed=seed))
    pairs = zip(found, verdicts, strict=True)
    return [own.name for own, verdict in pairs if verdict.p_value is not None and verdict.p_value < threshold]


def compare_treatments(
    folds: Sequence[FoldProfiles], *, null_size: int, seed: int, names: Sequence[str] | None = None
) -> list[TreatmentTest]:
    """Test treatments, in the order of their names; by default each that has a usable well in some fold."""
    names = sorted({name for fold in folds for name in fold.treatments} if names is None else names)
    return [_test(folds, name, null_size=null_size, seed=seed) for name in names]


def _test(folds: Sequence[FoldProfiles], name: str, *, null_size: int, seed: int) -> TreatmentTest:
    rows = tuple(fold.treatments.get(name, np.arange(0)) for fold in folds)
    places = [np.unique(fold.places[own]) for fold, own in zip(folds, rows, strict=True)]
    several = any(len(own) > 1 for own in places)
    tests: list[PermutationTest | None] = []
    for number, (fold, own) in enumerate(zip(folds, rows, strict=True)):
        negatives = fold.negatives(own)
        if len(own) < 2 or not len(negatives):
            tests.append(None)
            continue
        tests.append(
            fold.compare(own, negatives, null_size=null_size, seed=seed_of(seed, number, name), distinct_places=several)
        )
    shared = any(len(own) < len(wells) for own, wells in zip(places, rows, strict=True))
    return TreatmentTest(name, rows, tuple(tests), shared)


def correlation_of_folds(tests: Sequence[Sequence[PermutationTest]]) -> float:
    """Estimate how much the normal scores of two folds correlate where a treatment does nothing.

    The replicates are the same and the controls differ. With several folds, the variance between the scores of one
    treatment is (1 - correlation) of their variance; it does not depend on their mean, so that treatments whose mean
    looks like that of an inert one are not a biased choice. With few of them the estimate is drawn to 0.5.
    """
    within, expected = 0.0, 0.0
    for own in tests:
        scores = _scores(own)
        if len(own) > 1 and float(scores.mean()) < _NULL_LIKE:
            within += float(scores.var(ddof=1))
            expected += float(np.mean([test.spread for test in own]))
    estimate = ((1 - _PRIOR) * _PRIOR_WEIGHT + within) / (_PRIOR_WEIGHT + expected)
    return float(np.clip(1 - estimate, 0.0, _LARGEST_CORRELATION))


def combined(tests: Sequence[PermutationTest], correlation: float, *, smallest: bool = False) -> float:
    """P value from the mean normal score of the folds; of a single fold its own p value.

    Parameters
    ----------
    tests
        One per fold.
    correlation
        Of the scores of two folds.
    smallest
        Return the smallest p value that could have been found.
    """
    from scipy.special import ndtr

    if len(tests) == 1:
        return tests[0].smallest_p if smallest else tests[0].p_value
    k, spreads = len(tests), np.array([test.spread for test in tests])
    variance = (spreads.sum() + k * (k - 1) * correlation * spreads.mean()) / k**2
    if variance <= 0:  # all orders score the same
        return 1.0
    return float(ndtr(-_scores(tests, smallest=smallest).mean() / np.sqrt(variance)))


def _scores(tests: Sequence[PermutationTest], *, smallest: bool = False) -> NDArray[np.float64]:
    from scipy.special import ndtri

    return -np.asarray(ndtri([test.smallest_mid_p if smallest else test.mid_p for test in tests]))


@dataclass(frozen=True)
class Verdict:
    """P value of a treatment over all folds.

    Attributes
    ----------
    p_value, smallest_p
        The p value, and the smallest that could have been found; None where the treatment was not tested.
    position_p_value
        Against controls that share positions in the same way; None where position does not matter.
    position_share
        Share of the similarity of its replicates that their position explains; None where that is not known.
    status
        One of `ACTIVITY_STATUSES`.
    """

    p_value: float | None
    smallest_p: float | None
    position_p_value: float | None
    position_share: float | None
    status: str


def judged(found: Sequence[TreatmentTest], positions: ControlPositions) -> list[Verdict]:
    """Combine the folds of each treatment, and compare those in one position with controls in one position."""
    correlation = correlation_of_folds([treatment.known for treatment in found])
    verdicts = []
    for treatment in found:
        own = treatment.known
        if not own:
            single = max(len(rows) for rows in treatment.rows) < 2
            verdicts.append(Verdict(None, None, None, None, "one replicate" if single else "no controls"))
            continue
        p, status = combined(own, correlation), "ok"
        share: float | None = 0.0
        position: float | None = None
        if treatment.shares_places:
            against = positions.judge(treatment.rows)
            share = against.share
            if positions.p_value is None or (positions.matters and against.p_value is None):
                status = "position not judged"
            elif positions.matters and against.p_value is not None:
                position = against.p_value
                p, status = max(p, position), "judged against control positions"
        if all(test.spread == 0 for test in own):
            status = "all alike"
        verdicts.append(Verdict(p, combined(own, correlation, smallest=True), position, share, status))
    return verdicts


def corrected_p(p_values: Sequence[float | None]) -> list[float]:
    """Correct after Benjamini and Hochberg; NaN where there is none."""
    from scipy.stats import false_discovery_control

    known = [at for at, p in enumerate(p_values) if p is not None]
    corrected = np.full(len(p_values), np.nan)
    if known:
        corrected[known] = false_discovery_control([p for p in p_values if p is not None])
    return [float(q) for q in corrected]


def _rows(
    folds: Sequence[FoldProfiles],
    found: Sequence[TreatmentTest],
    verdicts: Sequence[Verdict],
    *,
    threshold: float,
    is_cross_fitted: bool,
) -> pl.DataFrame:
    """One row per treatment with a usable well."""
    n_features = round(float(np.mean([fold.n_features for fold in folds])))
    corrected = corrected_p([verdict.p_value for verdict in verdicts])
    rows: list[dict[str, object]] = []
    for treatment, verdict, q in zip(found, verdicts, corrected, strict=True):
        status = verdict.status
        row: dict[str, object] = {PERTURBATION: treatment.name, "n_features": n_features}
        row["n_replicates"] = max(len(wells) for wells in treatment.rows)
        row["n_controls"] = sum(len(fold.negatives(own)) for fold, own in zip(folds, treatment.rows, strict=True))
        if verdict.p_value is not None and verdict.smallest_p is not None:
            precision = float(np.mean([test.precision for test in treatment.known]))
            chance = float(np.mean([test.chance for test in treatment.known]))
            row["mean_average_precision"] = precision
            row["mean_normalized_average_precision"] = (precision - chance) / max(1 - chance, 1e-10)
            row["p_value"], row["corrected_p_value"] = verdict.p_value, q
            row["smallest_p"], row["below_corrected_p"] = verdict.smallest_p, q < threshold
            if verdict.smallest_p > threshold and status != "all alike":
                status = "too few controls"
            elif status != "all alike" and not is_cross_fitted:
                status = "not cross-fitted"
        position = {"position_p_value": verdict.position_p_value, "position_share": verdict.position_share}
        rows.append(row | position | {"status": status})
    return frame_of("activity", rows)


def _about(folds: Sequence[FrameLike], rows: pl.DataFrame) -> pl.DataFrame:
    """Add what is known of each treatment, and those of which no well has a profile."""
    every = pl.concat(
        [treated_wells(to_polars(fold)).select(pl.col("^Metadata_.*$")) for fold in folds], how="diagonal_relaxed"
    )
    names = [name for name in ABOUT if name in every.columns]
    about = every.sort(WELL_KEY).unique(PERTURBATION, keep="first", maintain_order=True).select(PERTURBATION, *names)
    joined = about.join(rows.drop(names), on=PERTURBATION, how="left")
    return joined.with_columns(
        pl.col("status").fill_null("no profile"), pl.col("n_replicates", "n_controls").fill_null(0)
    )
