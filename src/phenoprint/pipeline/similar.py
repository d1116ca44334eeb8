"""The treatments that a treatment of a screen resembles most, in this screen or in other profiles."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from phenoprint.errors import UsageError, first_few
from phenoprint.store import open as open_screen
from phenoprint.tables import COMPOUND, DOSE, PERTURBATION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from phenoprint.store import Screen

__all__ = ["Similar", "describe_neighbours", "find_similar"]

_ABOUT = {
    "Metadata_compound": ("neighbour_compound", pl.String),
    "Metadata_Concentration": ("neighbour_concentration", pl.Float64),
    "Metadata_Concentration_Unit": ("neighbour_concentration_unit", pl.String),
    "Metadata_moa": ("neighbour_moa", pl.String),
    "Metadata_pert_type": ("neighbour_pert_type", pl.String),
}


@dataclass(frozen=True)
class Similar:
    """Outcome of `find_similar`.

    Attributes
    ----------
    query
        The treatment, as in ``Metadata_perturbation``.
    table
        One row per neighbour, the most similar first: ``rank``, ``neighbour``, its compound, dose, mechanism and kind,
        ``similarity`` (cosine), ``p_value``, ``e_value``, ``is_same_compound``.
    n_searched
        Profiles that were searched.
    n_features
        Features that were compared.
    only_query, only_library
        Features that the other side lacks.
    notes
        What a user should know, a sentence each.
    """

    query: str
    table: pl.DataFrame
    n_searched: int
    n_features: int
    only_query: tuple[str, ...]
    only_library: tuple[str, ...]
    notes: tuple[str, ...]


def find_similar(
    screen: Screen | str | os.PathLike[str],
    compound: str,
    *,
    library: str | os.PathLike[str] | None = None,
    dose: float | None = None,
    n: int = 20,
) -> Similar:
    """Find the treatments that a treatment resembles most.

    Parameters
    ----------
    screen
        The screen, or its folder.
    compound
        Name of the compound, in any case, or of the treatment with its dose (``taxol@3 uM``).
    library
        Another screen folder, or a file of profiles, that is searched instead of the screen. Features are compared by
        name, by values before whitening and batch correction.
    dose
        Dose of the compound, in the unit of the screen. None: the dose with the highest average precision, else the
        highest.
    n
        Neighbours, at most.

    Returns
    -------
    Similar
        The neighbours with p and E values (see `phenoprint.analysis.nearest_profiles`).

    Raises
    ------
    UsageError
        For a compound or a dose that the screen does not have; the nearest name is suggested.
    SchemaError
        If library and screen share no feature, or the library does not name its treatments.

    Examples
    --------
    >>> found = phenoprint.find_similar("demo/screen", "PHN-5441", n=5)  # doctest: +SKIP
    """
    from phenoprint.analysis import nearest_profiles
    from phenoprint.pipeline.library import read_library, treatments_before_correction, treatments_of

    opened = open_screen(Path(screen)) if isinstance(screen, (str, os.PathLike)) else screen
    given = treatments_of(opened) if library is None else treatments_before_correction(opened)
    own = pl.concat(given.blocks)
    name, others = _choose(opened, given.treatments, own, compound, dose)
    query = own.filter(pl.col(PERTURBATION) == name)
    searched = given if library is None else read_library(Path(library))
    if library is None:
        found = nearest_profiles(own, k=n, only=[name])
    else:
        found = nearest_profiles(query, searched.blocks, k=n)
    if found.table.is_empty():
        reasons = {**found.lost, **({} if sum(found.lost.values()) else found.lost_library)}
        why = "; ".join(reason for reason, count in reasons.items() if count) or "there is no other profile"
        raise UsageError(f"{name} cannot be compared: {why}")
    table = describe_neighbours(found.table, given.treatments, searched.treatments)
    notes = [*given.notes, *(note for note in searched.notes if note not in given.notes)]
    if others:
        notes.append(f"{name} is compared; the compound was also tested as {first_few(others)}")
    if _is_inactive(opened, name):
        notes.append(f"{name} does not differ from the negative controls: what its profile resembles may be noise")
    if table["p_value"].null_count() == table.height:
        notes.append("no p values: they need at least 20 profiles of other compounds")
    return Similar(
        query=name,
        table=table.select(
            "rank", "neighbour", pl.col("^neighbour_.*$"), "similarity", "p_value", "e_value", "is_same_compound"
        ),
        n_searched=int(found.table["n_searched"][0]),
        n_features=len(found.features),
        only_query=found.only_queries,
        only_library=found.only_library,
        notes=tuple(notes),
    )


def describe_neighbours(found: pl.DataFrame, treatments: pl.DataFrame, library: pl.DataFrame) -> pl.DataFrame:
    """Add the annotation of treatments and of their neighbours to the table of `nearest_profiles`."""
    columns = [column for column in _ABOUT if column in treatments.columns and column != "Metadata_pert_type"]
    about = treatments.select(PERTURBATION, *columns)
    others = library.select(
        pl.col(PERTURBATION).alias("neighbour"),
        *(
            (pl.col(column) if column in library.columns else pl.lit(None)).cast(dtype, strict=False).alias(name)
            for column, (name, dtype) in _ABOUT.items()
        ),
    )
    named = found.join(about, on=PERTURBATION, how="left", maintain_order="left")
    return named.join(others, on="neighbour", how="left", maintain_order="left").rename(
        {"is_same_group": "is_same_compound"}
    )


def _choose(
    screen: Screen, treatments: pl.DataFrame, profiles: pl.DataFrame, compound: str, dose: float | None
) -> tuple[str, Sequence[str]]:
    """Return the treatment that a name and a dose mean, and the other doses of its compound."""
    known = treatments.filter(pl.col(PERTURBATION).is_in(profiles[PERTURBATION].implode()))
    wanted = compound.strip().casefold()
    exact = known.filter(pl.col(PERTURBATION).str.to_lowercase() == wanted)
    of_compound = known.filter(pl.col(COMPOUND).str.to_lowercase() == wanted)
    if of_compound.is_empty() and exact.is_empty():
        names = sorted(set(known[COMPOUND].drop_nulls()) | set(known[PERTURBATION].drop_nulls()))
        by_case = {name.casefold(): name for name in names}
        close = difflib.get_close_matches(wanted, by_case, n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(repr(by_case[name]) for name in close)}?" if close else "."
        compounds = sorted(set(known[COMPOUND].drop_nulls()))
        raise UsageError(
            f"the screen has no compound {compound!r} with a profile{hint} "
            f"It has {len(compounds)}: {first_few(compounds)}"
        )
    if of_compound.is_empty() or (dose is None and exact.height == 1 and exact.height == of_compound.height):
        return str(exact[PERTURBATION][0]), []
    doses = of_compound.sort(DOSE, PERTURBATION, nulls_last=False)
    if dose is not None:
        near = doses.filter((pl.col(DOSE) - dose).abs() <= 1e-6 * abs(dose))
        if near.is_empty():
            listed = ", ".join(f"{value:g}" for value in doses[DOSE].drop_nulls().to_list()) or "none"
            raise UsageError(f"{doses[COMPOUND][0]} has no dose {dose:g}; its doses: {listed}")
        return str(near[PERTURBATION][0]), []
    scored = doses.join(_precision(screen), on=PERTURBATION, how="left")
    best = scored.sort("_score", DOSE, PERTURBATION, descending=[True, True, False], nulls_last=True)
    name = str(best[PERTURBATION][0])
    return name, [other for other in doses[PERTURBATION].to_list() if other != name]


def _is_inactive(screen: Screen, name: str) -> bool:
    table = screen.table("activity")
    if "below_corrected_p" not in table.collect_schema().names():
        return False
    found = table.filter(pl.col(PERTURBATION) == name).select("below_corrected_p").collect()["below_corrected_p"]
    return bool(len(found) and found[0] is False)


def _precision(screen: Screen) -> pl.DataFrame:
    table = screen.table("activity")
    if "mean_normalized_average_precision" not in table.collect_schema().names():
        return pl.DataFrame(schema={PERTURBATION: pl.String, "_score": pl.Float64})
    return table.select(PERTURBATION, pl.col("mean_normalized_average_precision").alias("_score")).collect()
