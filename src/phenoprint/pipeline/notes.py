"""Notes for the user on how the profiles of a screen were made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from phenoprint.errors import first_few
from phenoprint.pipeline.exclusions import exclusion_reasons
from phenoprint.tables import declared_columns

if TYPE_CHECKING:
    from phenoprint.pipeline.sections import ProfilesSection

__all__ = ["excluded_plates", "extreme_notes", "recipe_notes", "reference_note", "reference_verdicts"]

_STATUSES = ("skipped", "reference_all")


def recipe_notes(status: pl.DataFrame) -> list[str]:
    """List the steps that were skipped, and the plates compared with all their wells for lack of controls.

    Parameters
    ----------
    status
        Rows of the table ``feature_status``.

    Returns
    -------
    list of str
        One sentence per step and reason.

    Examples
    --------
    >>> columns = ["Metadata_Plate", "feature", "step", "status", "reason"]
    >>> rows = [("P1", "", "combat", "skipped", "one batch"), ("P1", "area", "select", "correlated", "")]
    >>> recipe_notes(pl.DataFrame(rows, schema=columns, orient="row"))
    ['step combat skipped: one batch']
    """
    noted = status.filter(pl.col("status").is_in(_STATUSES) & (pl.col("feature") == ""))
    # Reasons differ by plate in their numbers only; the step is listed once.
    same = pl.when(pl.col("status") == "skipped").then(pl.col("reason")).alias("_same")
    groups = noted.sort("step", "Metadata_Plate").group_by("step", "status", same, maintain_order=True)
    notes = []
    for (step, what, _), rows in groups:
        plates = rows["Metadata_Plate"].drop_nulls().unique().sort().to_list()
        named = first_few(plates)
        where = f" (the same on {len(plates)} plates: {named})" if len(plates) > 1 else ""
        notes.append(f"step {step}{' skipped' if what == 'skipped' else ''}: {rows['reason'][0]}{where}")
    return notes


def extreme_notes(status: pl.DataFrame) -> list[str]:
    """Name the features with extreme values, and whether they were left out.

    Parameters
    ----------
    status
        Rows of the table ``feature_status``.

    Returns
    -------
    list of str
        At most two sentences: features that were left out, and those that a recipe keeps.

    Examples
    --------
    >>> columns = ["feature", "step", "status", "value"]
    >>> rows = [("area", "select", "outlier", 2e6), ("size", "select", "outlier", 600.0)]
    >>> extreme_notes(pl.DataFrame(rows, schema=columns, orient="row"))
    ['1 feature holds values of 10,000 spreads or more and was left out: area']
    """
    from phenoprint.profiles import EXTREME

    is_beyond = pl.col("value").fill_null(EXTREME) >= EXTREME
    noted = status.filter(pl.col("status").is_in(["outlier", "extreme"]) & (pl.col("step") != "import") & is_beyond)
    is_kept = (pl.col("step") == "recipe") & (pl.col("status") == "extreme")
    notes = []
    for rows, outcome in ((noted.filter(~is_kept), "left out"), (noted.filter(is_kept), "kept by the recipe")):
        names = rows["feature"].unique().sort().to_list()
        if names:
            one = len(names) == 1
            notes.append(
                f"{len(names)} feature{' holds' if one else 's hold'} values of {EXTREME:,.0f} spreads or more and "
                f"{'was' if one else 'were'} {outcome}: {first_few(names)}"
            )
    return notes


def reference_note(profiles: ProfilesSection, wells: pl.DataFrame) -> str | None:
    """Return a note if profiles are compared with all wells although plates have enough negative controls.

    Parameters
    ----------
    profiles
        The section of the configuration.
    wells
        ``Metadata_Plate`` and ``Metadata_pert_type`` of each well.

    Examples
    --------
    >>> from phenoprint.pipeline.sections import ProfilesSection
    >>> wells = pl.DataFrame({"Metadata_Plate": ["P1"] * 4, "Metadata_pert_type": ["negcon"] * 3 + ["trt"]})
    >>> reference_note(ProfilesSection(), wells) is None
    True
    >>> reference_note(ProfilesSection(reference="all"), wells).partition(",")[0]
    '1 plate has at least 3 negative controls'
    """
    if profiles.reference != "all":
        return None
    counts = wells.filter(pl.col("Metadata_pert_type") == "negcon").group_by("Metadata_Plate").len()
    n = counts.filter(pl.col("len") >= profiles.min_reference).height
    if not n:
        return None
    return (
        f"{n} {'plate has' if n == 1 else 'plates have'} at least {profiles.min_reference} negative controls, but "
        'reference = "all" under [profiles] compares with all wells of a plate; "negcon" uses the controls'
    )


def reference_verdicts(status: pl.DataFrame) -> pl.DataFrame:
    """Return a warning for each plate normalized to all its wells: rows of ``plate_acceptance``.

    The criterion is ``reference``.

    Parameters
    ----------
    status
        Rows of the table ``feature_status``.
    """
    from phenoprint.profiles import FEWEST_REFERENCE

    noted = status.filter((pl.col("status") == "reference_all") & pl.col("Metadata_Plate").is_not_null())
    rows = noted.sort("Metadata_Plate", "step").unique("Metadata_Plate", keep="first", maintain_order=True)
    threshold, verdict = pl.lit(FEWEST_REFERENCE), pl.lit("warn")
    judged = rows.with_columns(criterion=pl.lit("reference"), threshold=threshold, verdict=verdict)
    return declared_columns(judged, "plate_acceptance")


def excluded_plates(wells: pl.DataFrame, exclusions: pl.DataFrame) -> pl.DataFrame:
    """Return why excluded plates are not judged: rows of ``plate_acceptance`` without verdict.

    The criterion is ``excluded``.

    Parameters
    ----------
    wells
        Rows of the table ``well``.
    exclusions
        Rows of the table ``exclusion``.
    """
    reasons = wells.select("Metadata_Plate", exclusion_reasons(wells, exclusions).alias("reason"))
    by_plate = reasons.group_by("Metadata_Plate").agg(
        pl.col("reason").null_count().alias("_left"), pl.col("reason").sort().first()
    )
    is_whole = pl.col("reason").str.starts_with("plate excluded: ")
    why = pl.when(is_whole).then("reason").otherwise(pl.lit("every well of the plate is excluded"))
    rows = by_plate.filter(pl.col("_left") == 0).with_columns(
        pl.lit("excluded").alias("criterion"), (pl.lit("not judged: ") + why).alias("reason")
    )
    return declared_columns(rows, "plate_acceptance")
