"""Step: whether plates may be used."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import polars as pl

from phenoprint.pipeline.exclusions import without_excluded
from phenoprint.pipeline.notes import excluded_plates
from phenoprint.pipeline.phenotypes import keep_parameter, left_out
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.store import concat_ledgers, hash_key, ledger_rows
from phenoprint.tables import WELL_KEY

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context

__all__ = ["PlateAcceptance"]

_MEASURED = ("profile_well", "profile_normalized", "profile_selected")


class PlateAcceptance(Step):
    """Judge each plate by its own wells, before plates are pooled, and exclude plates that fail where this is wanted.

    Steps that read exclusions run after it (see `phenoprint.pipeline.schedule`), except those that it depends on.
    """

    name = "plate_acceptance"
    title = "Plate acceptance"
    version = 2
    scope = Scope.SCREEN
    needs = ("profile_well", "well", "exclusion")
    uses = ("well_medians", "image_quality", "image")
    tables = ("plate_acceptance",)

    def needed(self, given: Collection[str]) -> tuple[str, ...]:
        """Return the needs; imported profiles are judged at the lowest level that there is."""
        measured = {"image", "cell", "profile_well"}.intersection(given)
        level = "profile_well" if measured else next((name for name in _MEASURED if name in given), "profile_well")
        return tuple(level if need == "profile_well" else need for need in self.needs)

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the limits, and which features count as phenotypes."""
        readouts = sorted(config.profiles.readouts)
        return {**config.section("plate_acceptance"), "readouts": readouts, **keep_parameter(config)}

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Write one row per plate and check."""
        from phenoprint.evaluation import plate_acceptance

        section = context.config.plate_acceptance
        level = self.needed(context.given)[0]
        formats = context.table("plate").select("Metadata_Plate", "plate_format").drop_nulls().collect()
        exclusions = context.exclusions(by_hand=True)
        order, order_name = _order(context)
        checks = plate_acceptance(
            _plates(context, level),
            readouts=_wide_readouts(context),
            image_quality=without_excluded(context.table("image_quality").collect(), exclusions),
            limits=section.limits(),
            plate_formats=dict(formats.iter_rows()),
            order=order,
            order_name=order_name,
            seed=context.config.evaluation.seed,
        )
        names = checks["criterion"].unique()
        spared = [name for name in names if any(fnmatchcase(name, entry) for entry in section.never_exclude)]
        failed = (pl.col("verdict") == "fail").fill_null(value=False) & ~pl.col("criterion").is_in(spared)
        judged = checks.with_columns(is_excluded=failed & section.exclude_failed)
        table = pl.concat([judged, excluded_plates(context.table("well").collect(), exclusions)])
        wells = context.profiles(level, columns="^Metadata_(Plate|Well)$", by_hand=True)
        left = judged.filter("is_excluded").select("Metadata_Plate", "criterion").sort("Metadata_Plate", "criterion")
        return Outcome(
            {"plate_acceptance": table}, _ledger(self.name, wells, left), digest=hash_key(self.name, left.rows())
        )


def _plates(context: Context, level: str) -> Iterator[pl.DataFrame]:
    """Read the profiles of one plate after the other, without features that are no phenotypes."""
    schema = context.table(level).collect_schema()
    out = list(left_out(context, level, schema.names()))
    for plate in context.table(level).select("Metadata_Plate").unique().collect()["Metadata_Plate"].sort():
        yield context.profiles(level, plate=plate, schema=schema, by_hand=True).drop(out)


def _ledger(step: str, wells: pl.DataFrame, left: pl.DataFrame) -> pl.DataFrame:
    """Balance the wells of each plate; those of an excluded plate have a row each."""
    checks = {plate: rows["criterion"].to_list() for (plate,), rows in left.group_by("Metadata_Plate")}
    ledgers = []
    for (plate,), rows in wells.sort(WELL_KEY).group_by("Metadata_Plate", maintain_order=True):
        if plate not in checks:
            ledgers.append(ledger_rows(step, str(plate), unit_of_count="wells", n_in=rows.height, lost={}))
            continue
        lost = {f"plate acceptance failed ({', '.join(checks[plate])})": 1}
        wells_of = rows["Metadata_Well"].to_list()
        ledgers += [ledger_rows(step, str(plate), well, unit_of_count="wells", n_in=1, lost=lost) for well in wells_of]
    return concat_ledgers(ledgers)


def _order(context: Context) -> tuple[list[str], str]:
    """Return the plates by the times of their image files, or by name where these are not known or overlap."""
    names = context.table("well").select("Metadata_Plate").unique().collect()["Metadata_Plate"].sort().to_list()
    times = pl.col("mtime_ns")
    spans = (
        context.table("image")
        .drop_nulls("mtime_ns")
        .group_by("Metadata_Plate")
        .agg(times.quantile(0.05).alias("first"), times.quantile(0.95).alias("last"))
        .sort("first", "Metadata_Plate")
        .collect()
    )
    is_apart = (spans["first"].shift(-1) > spans["last"]).drop_nulls().all()
    if spans.height > 1 and set(names) == set(spans["Metadata_Plate"]) and is_apart:
        return spans["Metadata_Plate"].to_list(), "order in which their image files were written"
    return names, "order of their names"


def _wide_readouts(context: Context) -> pl.DataFrame | None:
    """Return the readouts that are configured, one column each, with the annotation of each well; None without any."""
    named = pl.col("readout").is_in(list(context.config.profiles.readouts))
    readouts = context.table("readout").filter(named).collect()
    if readouts.is_empty():
        return None
    wide = readouts.pivot("readout", index=WELL_KEY, values="value")
    about = context.table("well").select(*WELL_KEY, "Metadata_pert_type", "Metadata_compound").collect()
    return wide.join(about, on=WELL_KEY, how="left")
