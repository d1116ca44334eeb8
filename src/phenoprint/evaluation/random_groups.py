"""Random groups of wells of different treatments, with the form of a treatment: as many wells, on the same plates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import polars as pl

from phenoprint.tables import PERTURBATION, WELL, Groups

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import IntArray

__all__ = ["PLACE", "Design", "Form", "with_places"]

PLACE = "Metadata_ place"

_MOST_KEYS = 50
_ROUNDS = 40

Key: TypeAlias = "tuple[object, ...]"
Pairs: TypeAlias = "tuple[NDArray[np.intp], NDArray[np.intp]]"


@dataclass(frozen=True)
class Form:
    """The form of a treatment.

    Attributes
    ----------
    key
        Treatments with the same key share their random groups.
    strata
        The stratum of each of its wells, such as the plate, shape (wells,).
    pairs
        Which of its wells are pairs: two arrays of places in the group.
    """

    key: Key
    strata: IntArray
    pairs: Pairs


@dataclass(frozen=True)
class Design:
    """Forms of all treatments, and the wells that random groups are drawn from.

    Attributes
    ----------
    forms
        One per treatment.
    treatment
        Number of the treatment of each well, shape (wells,).
    pool
        The wells of all treatments, in a fixed order.
    strata
        Stratum of each well, shape (wells,).
    different
        Codes in which the wells of a group differ, shape (wells,) each.
    """

    forms: tuple[Form, ...]
    treatment: IntArray
    pool: IntArray
    strata: IntArray
    different: tuple[IntArray, ...]

    @classmethod
    def of(
        cls,
        wells: pl.DataFrame,
        members: Sequence[IntArray],
        pos_diffby: Sequence[str],
        null_sameby: Sequence[str],
        null_diffby: Sequence[str],
    ) -> Design:
        """Describe the treatments.

        Parameters
        ----------
        wells
            Metadata of the usable wells.
        members
            For each treatment: its wells, in an order that depends on their values only.
        pos_diffby, null_sameby, null_diffby
            As in `replicate_reproducibility`.
        """
        treatment = np.full(wells.height, -1, dtype=np.intp)
        for number, rows in enumerate(members):
            treatment[rows] = number
        strata = Groups.of(wells, list(null_sameby)).codes if null_sameby else np.zeros(wells.height, np.intp)
        codes = [Groups.of(wells, [name]).codes for name in pos_diffby]
        raw = []
        for rows in members:
            ordered = rows[np.argsort(strata[rows], kind="stable")]
            first, second = np.triu_indices(len(ordered), 1)
            counts = np.ones(len(first), dtype=bool)
            for code in codes:
                counts &= code[ordered[first]] != code[ordered[second]]
            # The places of a group are sorted by stratum, so that pairs of the treatment and of a group correspond.
            raw.append((strata[ordered], (first[counts], second[counts])))
        exact = [(tuple(own.tolist()), pairs[0].tobytes(), pairs[1].tobytes()) for own, pairs in raw]
        if len(set(exact)) <= _MOST_KEYS:
            keys: list[Key] = list(exact)
        else:
            keys = [
                (tuple(np.unique(own, return_counts=True)[1].tolist()), *rest[1:])
                for (own, _), rest in zip(raw, exact, strict=True)
            ]
        forms = tuple(Form(key, own, pairs) for key, (own, pairs) in zip(keys, raw, strict=True))
        pool = np.concatenate([np.arange(0), *members]).astype(np.intp)
        return cls(forms, treatment, pool, strata, tuple(Groups.of(wells, [name]).codes for name in null_diffby))

    @property
    def keys(self) -> list[Key]:
        """The keys of treatments with at least one pair, each once."""
        return list(dict.fromkeys(form.key for form in self.forms if len(form.pairs[0])))

    def pairs_of(self, key: Key) -> Pairs:
        """Return which wells of a random group are pairs."""
        return next(form.pairs for form in self.forms if form.key == key)

    def size_of(self, key: object) -> int:
        """Return the wells of a random group."""
        return next(len(form.strata) for form in self.forms if form.key == key)

    def random_groups(self, key: Key, *, null_size: int, seed: int) -> IntArray | None:
        """Draw groups of wells of different treatments, shape (null_size, wells).

        None where there are hardly any, such as for more wells than there are treatments.
        """
        templates = np.array([form.strata for form in self.forms if form.key == key])
        size = templates.shape[1]
        rng = np.random.default_rng([seed, size])
        order = self.pool[np.argsort(self.strata[self.pool], kind="stable")]
        counts = np.bincount(self.strata[order], minlength=int(self.strata.max()) + 1)
        starts = np.cumsum(counts) - counts
        found: list[IntArray] = []
        n_found = 0
        for _ in range(_ROUNDS):
            wanted = templates[rng.integers(len(templates), size=null_size)]
            place = (rng.random(wanted.shape) * counts[wanted]).astype(np.intp)
            drawn = order[starts[wanted] + place]
            is_good = _all_differ(self.treatment[drawn])
            for code in self.different:
                is_good &= _all_differ(code[drawn])
            found.append(drawn[is_good])
            n_found += int(is_good.sum())
            if n_found >= null_size:
                return np.concatenate(found)[:null_size]
        return None


def with_places(wells: pl.DataFrame) -> pl.DataFrame:
    """Add column `PLACE`: two wells with the same are no pair; it is the position where a treatment has several."""
    several = pl.col(WELL).n_unique().over(PERTURBATION) > 1
    each = pl.concat_str(pl.lit("well "), pl.int_range(pl.len()).cast(pl.String))
    return wells.with_columns(pl.when(several).then(WELL).otherwise(each).alias(PLACE))


def _all_differ(codes: IntArray) -> NDArray[np.bool_]:
    ordered = np.sort(codes, axis=1)
    different: NDArray[np.bool_] = (ordered[:, 1:] != ordered[:, :-1]).all(axis=1)
    return different
