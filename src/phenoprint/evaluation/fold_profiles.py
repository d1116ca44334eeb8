"""The profiles of one fold, ready for comparisons: vectors, treatments, controls, plates and positions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.evaluation.permutations import PermutationTest, permutation_test
from phenoprint.evaluation.similarities import Vectors, to_vectors
from phenoprint.tables import PERT_TYPE, PERTURBATION, PLATE, WELL, WELL_KEY, require_columns, to_polars

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FrameLike, IntArray

__all__ = ["FoldProfiles", "also_controls", "fold_profiles", "seed_of", "treated_wells"]

_MOST_REPLICATES = 200
_MOST_CONTROLS = 2000


def also_controls(profiles: pl.DataFrame) -> pl.DataFrame:
    """Return the wells annotated as treatments whose treatment is a negative control in other wells.

    Such a treatment counts as the control, as in the table ``perturbation``: it gets no activity and no mechanism.

    Parameters
    ----------
    profiles
        Well profiles (level 4b), one row per well; the features are not needed.

    Examples
    --------
    >>> kinds = {"Metadata_pert_type": ["negcon", "trt", "trt"], "Metadata_perturbation": ["DMSO", "DMSO", "taxol"]}
    >>> also_controls(pl.DataFrame(kinds))["Metadata_perturbation"].to_list()
    ['DMSO']
    """
    controls = profiles.filter(pl.col(PERT_TYPE) == "negcon")[PERTURBATION].drop_nulls()
    is_treated = pl.col(PERT_TYPE).is_in(["trt", "poscon"])
    return profiles.filter(is_treated & pl.col(PERTURBATION).is_in(controls.unique().implode()))


def treated_wells(profiles: pl.DataFrame) -> pl.DataFrame:
    """Return the wells of treatments that are no negative control anywhere."""
    left_out = also_controls(profiles)[PERTURBATION].unique().implode()
    return profiles.filter(
        pl.col(PERT_TYPE).is_in(["trt", "poscon"])
        & pl.col(PERTURBATION).is_not_null()
        & ~pl.col(PERTURBATION).is_in(left_out)
    )


def seed_of(*parts: object) -> int:
    """Return a positive number that depends on the parts only, such as a seed and the name of a treatment."""
    return int.from_bytes(blake2b("\n".join(map(str, parts)).encode(), digest_size=7).digest(), "big") + 1


@dataclass(frozen=True)
class FoldProfiles:
    """The usable wells of one fold.

    Attributes
    ----------
    wells
        Metadata of the usable wells, sorted by plate and well.
    values
        Their vectors, of unit length, shape (wells, features).
    n_features
        Features compared.
    plates, places
        Codes of plate and well position, shape (wells,).
    treatments
        Rows of the wells of each treatment.
    controls
        Rows of the negative controls, by code of the plate.
    left_out
        A direction, shape (features,), that comparisons leave out; None: none. See `without_count`.
    """

    wells: pl.DataFrame
    values: NDArray[np.float32]
    n_features: int
    plates: IntArray
    places: IntArray
    treatments: Mapping[str, IntArray]
    controls: Mapping[int, IntArray]
    left_out: NDArray[np.float64] | None = None

    def negatives(self, rows: IntArray) -> IntArray:
        """Return the controls on the plates of some wells.

        Of more than 2,000, the first of each plate by well name are taken.
        """
        found = [self.controls[plate] for plate in np.unique(self.plates[rows]).tolist() if plate in self.controls]
        most = max(2, _MOST_CONTROLS // max(1, len(found)))
        return np.concatenate([np.arange(0), *(own[:most] for own in found)]).astype(np.intp)

    def place_code(self, well: str) -> int:
        """Return the code of a well position; -1 where no usable well has it."""
        found = np.flatnonzero((self.wells[WELL] == well).to_numpy())
        return int(self.places[found[0]]) if len(found) else -1

    def compare(
        self, rows: IntArray, negatives: IntArray, *, null_size: int, seed: int, distinct_places: bool
    ) -> PermutationTest:
        """Test the wells of a treatment against controls on the same plates, see `permutation_test`."""
        own = self.some(rows, seed)
        every = np.concatenate([own, negatives])
        vectors = np.asarray(self.values[every])
        if self.left_out is not None:
            vectors = vectors - np.outer(vectors @ self.left_out, self.left_out)
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return permutation_test(
            vectors @ vectors.T,
            np.unique(self.plates[every], return_inverse=True)[1],
            self.places[every],
            np.arange(len(every)) < len(own),
            distinct_places=distinct_places,
            null_size=null_size,
            seed=seed,
        )

    def without_count(self, count: str) -> FoldProfiles:
        """Leave out the direction in which profiles differ with the number of cells.

        Parameters
        ----------
        count
            Column of the number of cells. The direction is the covariance of the profiles with its logarithm, within
            plates, over all wells.
        """
        log = (pl.col(count).cast(pl.Float64) + 1).log()
        relative = self.wells.select((log - log.mean().over(PLATE)).fill_null(0.0)).to_series().to_numpy()
        direction = (relative @ self.values).astype(
            np.float64
        )  # deviations sum to 0 on each plate, so that plate means cancel
        length = float(np.linalg.norm(direction))
        return replace(self, left_out=direction / length if length > 0 else None)

    def some(self, rows: IntArray, seed: int) -> IntArray:
        """Choose 200 of more wells of a treatment, as many of each plate as possible."""
        if len(rows) <= _MOST_REPLICATES:
            return rows
        shuffled = np.random.default_rng(seed).permutation(rows)
        by_plate = shuffled[np.argsort(self.plates[shuffled], kind="stable")]
        plates = self.plates[by_plate]
        turn = np.arange(len(rows)) - np.searchsorted(plates, plates)
        return np.sort(by_plate[np.argsort(turn, kind="stable")[:_MOST_REPLICATES]])


def fold_profiles(
    frame: FrameLike, vectors: Callable[[pl.DataFrame], Vectors] | None = None, *, metric: str = "cosine"
) -> FoldProfiles:
    """Prepare the profiles of one fold.

    Parameters
    ----------
    frame
        Well profiles with ``Metadata_Plate``, ``Metadata_Well``, ``Metadata_pert_type`` and ``Metadata_perturbation``.
    vectors
        Makes the vectors of the metric, where the frame holds metadata only.
    metric
        ``"cosine"`` or ``"pearson"``.
    """
    data = to_polars(frame)
    require_columns(data, [*WELL_KEY, PERT_TYPE, PERTURBATION], purpose="comparisons with the controls")
    kept = (
        pl.concat([treated_wells(data), data.filter(pl.col(PERT_TYPE) == "negcon")]).drop_nulls(WELL_KEY).sort(WELL_KEY)
    )
    made = to_vectors(kept, metric) if vectors is None else vectors(kept)
    wells = kept.select(pl.col("^Metadata_.*$"))[made.rows]
    is_control = (wells[PERT_TYPE] == "negcon").to_numpy()
    plates = wells[PLATE].rank("dense").to_numpy().astype(np.intp) - 1
    numbered = wells.select(PERTURBATION, PLATE, pl.lit(pl.Series(is_control)).alias("_control")).with_row_index("_row")
    named = numbered.filter(~pl.col("_control")).group_by(PERTURBATION).agg("_row").sort(PERTURBATION)
    return FoldProfiles(
        wells=wells,
        values=made.values,
        n_features=len(made.features),
        plates=plates,
        places=wells[WELL].rank("dense").to_numpy().astype(np.intp) - 1,
        treatments={str(name): np.array(own, dtype=np.intp) for name, own in named.iter_rows()},
        controls={
            int(plate): np.flatnonzero(is_control & (plates == plate)) for plate in np.unique(plates[is_control])
        },
    )
