"""The step that flags cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from phenoprint.errors import ConfigError, DataError, UnknownNameError
from phenoprint.pipeline.exclusions import exclusion_reasons
from phenoprint.pipeline.steps.base import Outcome, Scope, Step, Unit
from phenoprint.store import strict_join
from phenoprint.tables import CELL_KEY, PERTURBATION, PLATE, WELL_KEY, get_table

if TYPE_CHECKING:
    from phenoprint.pipeline.config import ScreenConfig
    from phenoprint.pipeline.context import Context
    from phenoprint.pipeline.sections import CellQualitySection
    from phenoprint.profiles import CellRule

__all__ = ["FlagCells", "cell_rules"]


class FlagCells(Step):
    """Flag cells that were probably not segmented well, and cells that touch the border of their field."""

    name = "flag_cells"
    title = "Cell flags"
    scope = Scope.PLATE
    needs = ("well", "cell", "exclusion")
    uses = ("object",)
    tables = ("cell_quality", "cell_quality_preview")

    def parameters(self, config: ScreenConfig) -> Mapping[str, Any]:
        """Return the rules."""
        return {"rules": config.section("cell_quality")["rules"], "reference": config.profiles.reference}

    def run(self, unit: Unit, context: Context) -> Outcome:
        """Flag the cells of a plate, and count the flagged cells of each treatment."""
        from phenoprint.profiles import cell_quality

        here = pl.col("Metadata_Plate") == unit.plate
        table = context.table("cell").filter(here)
        rules, missing = cell_rules(context.config.cell_quality, table.collect_schema().names())
        columns = sorted({limit.feature for rule in rules for limit in rule.limits})
        cells = table.select(*CELL_KEY, *columns).collect()
        counts = exclusion_reasons(cells, context.exclusions(unit.plate, by_hand=True)).is_null()
        # The reference is the cells that are not excluded, if there are any.
        usual = cells.with_columns(counts.alias("Metadata_counts"))
        flagged = cell_quality(usual, rules=rules, reference=pl.col("Metadata_counts") if counts.any() else None)
        preview = _preview(cells.filter(counts), flagged.filter(counts), context.wells(unit.plate), missing)
        if not context.holds("object"):  # imported cells
            flagged = flagged.with_columns(pl.lit(None, pl.Boolean).alias("touches_border"))
        else:
            border = context.table("object").filter(here).select(*CELL_KEY, "touches_border").collect()
            # Wells that were segmented and could not be measured have objects without cells.
            flagged = strict_join(flagged, border, on=CELL_KEY, expect="m:1")
            strangers = flagged["touches_border"].null_count()
            if strangers:
                raise DataError(f"{strangers} measured cells of plate {unit.plate} are not in the table object")
        return Outcome({"cell_quality": flagged.sort(CELL_KEY), "cell_quality_preview": preview})


def cell_rules(section: CellQualitySection, columns: Sequence[str]) -> tuple[tuple[CellRule, ...], dict[str, str]]:
    """Return the rules of cell quality, and the reason for each default rule that cannot be applied.

    Raises
    ------
    ConfigError
        If a rule of the user names a feature that was not measured, or two rules have the same name.
    """
    from phenoprint.profiles import DEFAULT_CELL_RULES, CellRule, Limit

    if section.rules is not None:
        rules = tuple(
            CellRule(rule.name, tuple(Limit(**limit.model_dump()) for limit in rule.limits)) for rule in section.rules
        )
        names = [rule.name for rule in rules]
        for rule in rules:
            if names.count(rule.name) > 1 or rule.name == "any":
                taken = "means all rules together" if rule.name == "any" else "is the name of two rules"
                raise ConfigError(f"cell_quality.rules: {rule.name!r} {taken}; give each rule a name of its own")
            for limit in rule.limits:
                if limit.feature not in columns:
                    error = UnknownNameError("feature", limit.feature, columns)
                    raise ConfigError(f"cell_quality.rules, {rule.name!r}: {str(error).split(' Known:')[0]}")
        return rules, {}
    missing = {
        rule.name: f"not judged: {limit.feature} was not measured"
        for rule in DEFAULT_CELL_RULES
        for limit in rule.limits
        if limit.feature not in columns
    }
    return tuple(rule for rule in DEFAULT_CELL_RULES if rule.name not in missing), missing


def _preview(
    cells: pl.DataFrame, flagged: pl.DataFrame, wells: pl.DataFrame, missing: Mapping[str, str]
) -> pl.DataFrame:
    """Count the flagged cells by treatment and rule, and compare with the controls where there are any."""
    from phenoprint.profiles import preview_cell_quality

    known = wells.select(*WELL_KEY, "Metadata_pert_type", "Metadata_perturbation")
    treated = strict_join(cells.select(CELL_KEY), known, on=WELL_KEY, expect="m:1")
    is_control = (pl.col("Metadata_pert_type") == "negcon").fill_null(value=False)
    has_controls = treated.select(is_control.any()).item() is True
    schema = get_table("cell_quality_preview").schema_of((PLATE, PERTURBATION, "rule", "reason"))
    unjudged = [(plate, None, *rule) for plate in wells["Metadata_Plate"].unique() for rule in missing.items()]
    rows = [pl.DataFrame(unjudged, schema=schema, orient="row")]
    if treated.height:
        by = ["Metadata_Plate", "Metadata_perturbation"]
        preview = preview_cell_quality(treated, flagged, by, reference=is_control if has_controls else ~is_control)
        if not has_controls:
            nothing = (pl.lit(None).alias(name) for name in ("share_reference", "z", "is_likely_phenotype"))
            preview = preview.with_columns(*nothing, reason=pl.lit("no control cells on this plate to compare with"))
        rows.append(preview)
    return pl.concat(rows, how="diagonal_relaxed")
