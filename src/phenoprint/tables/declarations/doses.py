"""Dose-response: a curve per compound and readout, and a summary per compound."""

from __future__ import annotations

from typing import Final

from phenoprint.tables import keys
from phenoprint.tables.declarations import columns as c
from phenoprint.tables.declarations.columns import LONG, REAL, TEXT, required
from phenoprint.tables.records import Column, Table

_IN_UNIT: Final = "in Metadata_Concentration_Unit"
_SPREADS: Final = "in spreads of the plate's negative controls"
_WHY_NULL: Final = "NULL: beyond the doses, see status and reason"

TABLES: Final = (
    Table(
        "dose_response",
        "One row per compound and readout: a curve over dose, fitted to responses relative to the negative controls of "
        "each plate",
        (
            required("readout", TEXT, "Distance to the controls, feature group, cell count, readout or feature"),
            Column("kind", TEXT, "distance, feature_group, count, readout or feature"),
            required(keys.COMPOUND, TEXT, "Compound"),
            Column(c.DOSE_UNIT.name, TEXT, "Unit of all doses of the row"),
            Column(
                "model",
                TEXT,
                "constant, hill3 (from the level of the controls), hill4 (from a level of its own) or gain_loss "
                "(bell), chosen by AICc; NULL without a fit",
            ),
            Column("ec50", REAL, f"Dose of half the largest response, {_IN_UNIT}; {_WHY_NULL}"),
            Column("ec50_low", REAL, "Lower end of its 95% interval by profile likelihood; NULL: below the doses"),
            Column("ec50_high", REAL, "Upper end of its 95% interval by profile likelihood; NULL: above the doses"),
            Column(
                "bmd",
                REAL,
                "Benchmark dose: the curve has left its level at the lowest doses (that of the controls, but for "
                f"hill4) by 1.349 standard deviations of the controls, {_IN_UNIT}; {_WHY_NULL}",
            ),
            Column("bmd_low", REAL, "Lower end of its 95% interval; NULL: below the doses"),
            Column("bmd_high", REAL, "Upper end of its 95% interval; NULL: above the doses"),
            Column(
                "hit_call",
                REAL,
                "0 to 1: that a curve fits better than a constant, times that some dose, times that the curve exceeds "
                "the benchmark response; 0.9 counts as a response",
            ),
            Column("peak", REAL, f"Largest response of the curve, from its level at the lowest doses, {_SPREADS}"),
            Column("bottom", REAL, f"Level of the curve at the lowest doses, {_SPREADS}"),
            Column("top", REAL, f"Plateau of the curve (of gain_loss without its loss), {_SPREADS}"),
            Column("slope", REAL, "Hill slope; above about 8: steeper than the doses resolve"),
            Column("gain_dose", REAL, "Dose of half the gain; draws the curve, and is an estimate only as ec50"),
            Column("loss_dose", REAL, "Dose of half the loss, of gain_loss"),
            Column("loss_slope", REAL, "Hill slope of the loss, of gain_loss"),
            Column("level", REAL, f"Mean of the negative controls, {_SPREADS}"),
            Column("noise", REAL, f"Standard deviation of the negative controls within plates, {_SPREADS}"),
            Column("residual", REAL, f"Scale of the treated wells about the curve, {_SPREADS}"),
            Column("r2", REAL, "Share of the variance of the treated wells that the curve explains"),
            Column("n_wells", LONG, "Treated wells on the curve"),
            Column("n_doses", LONG, "Distinct doses above 0"),
            Column("n_controls", LONG, "Negative controls on the plates of these wells"),
            Column("n_plates", LONG, "Plates of these wells"),
            Column("lowest_dose", REAL, f"Lowest dose above 0, {_IN_UNIT}"),
            Column("highest_dose", REAL, f"Highest dose, {_IN_UNIT}"),
            required(
                "status",
                TEXT,
                "Of the EC50: ok, uncertain (hit call below 0.9), no_response, above_highest_dose, below_lowest_dose, "
                "too_few_doses, no_controls, constant_controls, constant_response or no_values",
            ),
            required("bmd_status", TEXT, "The same of the benchmark dose"),
            c.REASON,
        ),
        order=("readout", keys.COMPOUND, c.DOSE_UNIT.name),
        per_plate=False,
    ),
    Table(
        "dose_summary",
        "One row per compound: at what dose its phenotype starts, and how far below the dose that kills cells",
        (
            required(keys.COMPOUND, TEXT, "Compound"),
            Column(c.DOSE_UNIT.name, TEXT, "Unit of all doses of the row"),
            Column("n_doses", LONG, "Distinct doses above 0"),
            Column("n_wells", LONG, "Treated wells"),
            Column("n_plates", LONG, "Plates of these wells"),
            Column("lowest_dose", REAL, f"Lowest dose above 0, {_IN_UNIT}"),
            Column("highest_dose", REAL, f"Highest dose, {_IN_UNIT}"),
            Column("global_bmd", REAL, f"Benchmark dose of the distance to the controls, {_IN_UNIT}; {_WHY_NULL}"),
            Column("global_bmd_low", REAL, "Lower end of its 95% interval; NULL: below the doses"),
            Column("global_bmd_high", REAL, "Upper end of its 95% interval; NULL: above the doses"),
            Column("global_hit_call", REAL, "Hit call of the distance to the controls"),
            Column("global_status", TEXT, "bmd_status of the distance to the controls"),
            Column(
                "lowest_bmd",
                REAL,
                f"Lowest benchmark dose over the feature groups that respond, {_IN_UNIT}; the lowest dose itself where "
                "lowest_status is below_lowest_dose",
            ),
            Column("lowest_bmd_low", REAL, "Lower end of its 95% interval; NULL: below the doses"),
            Column("lowest_bmd_high", REAL, "Upper end of its 95% interval; NULL: above the doses"),
            Column("lowest_group", TEXT, "The feature group of lowest_bmd"),
            Column("lowest_status", TEXT, "ok, no_response, below_lowest_dose, or why there is none"),
            Column("n_groups", LONG, "Feature groups with a curve"),
            Column(
                "n_groups_active",
                LONG,
                "Feature groups that respond: hit call at or above 1 - 0.1 / n_groups, since so many are tried",
            ),
            Column("count_bmd", REAL, f"Benchmark dose of a falling cell count, {_IN_UNIT}; {_WHY_NULL}"),
            Column("count_bmd_low", REAL, "Lower end of its 95% interval; NULL: below the doses"),
            Column("count_bmd_high", REAL, "Upper end of its 95% interval; NULL: above the doses"),
            Column(
                "count_status", TEXT, "ok, no_response, above_highest_dose, below_lowest_dose, or why there is none"
            ),
            Column(
                "window",
                REAL,
                "How many times the dose of cytotoxicity lies above that of the phenotype: count_bmd / lowest_bmd; "
                "where the count does not fall, highest dose / lowest_bmd, and the window is at least that (status "
                "not_cytotoxic)",
            ),
            Column("window_low", REAL, "Lower bound of window, from the ends of both intervals; NULL: no bound"),
            Column("window_high", REAL, "Upper bound of window, from the ends of both intervals; NULL: no bound"),
            required(
                "status",
                TEXT,
                "ok (phenotype below cytotoxicity), not_cytotoxic (phenotype, and the count does not fall), "
                "only_cytotoxic (the count falls at or below the lowest dose of any phenotype), no_response, or why "
                "there are no curves: too_few_doses, no_controls, no_values, ...",
            ),
            c.REASON,
        ),
        order=(keys.COMPOUND, c.DOSE_UNIT.name),
        per_plate=False,
    ),
    Table(
        "dose_point",
        "One row per well and readout of a dose-response curve: what the curve was fitted to",
        (
            required("readout", TEXT, "As in dose_response"),
            Column("kind", TEXT, "As in dose_response"),
            required(keys.COMPOUND, TEXT, "Compound"),
            Column(c.DOSE_UNIT.name, TEXT, "Unit of the dose, the same for all wells of a series"),
            Column(keys.DOSE, REAL, "Dose, in Metadata_Concentration_Unit"),
            c.PLATE,
            c.WELL,
            Column(
                "response",
                REAL,
                "The value less the median of the plate's negative controls, in their robust spreads; NULL without a "
                "value, or with fewer than three such controls",
            ),
        ),
        order=("readout", keys.COMPOUND, c.DOSE_UNIT.name, keys.DOSE),
        per_plate=False,
        references=(c.TO_WELL,),
    ),
)
