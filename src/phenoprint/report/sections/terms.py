"""Explanations of technical terms, shown on hover."""

from __future__ import annotations

__all__ = [
    "CELL_RATIO",
    "EFFECT",
    "ENERGY",
    "INDUCING_SHARE",
    "LEDGER",
    "MAP",
    "NORMALIZED_MAP",
    "NSC",
    "PERCENT_REPLICATING",
    "PREDICTION_SET",
    "REPLICATE_AGREEMENT",
    "ROBUST_Z_PRIME",
    "SMALLEST_P",
    "SSMD",
    "UMAP",
    "Z_PRIME",
    "meaning_of_check",
    "short_name",
]

Z_PRIME = (
    "Z': 1 - 3 (sd of positives + sd of negatives) / distance of their means. "
    "0.5 or more is an excellent assay; below 0 the controls overlap."
)
ROBUST_Z_PRIME = "Z' from medians and median absolute deviations (times 1.4826), robust against single bad wells."
MAP = (
    "Mean average precision: from each replicate, rank the other replicates and the negative controls by similarity. "
    "1 means that replicates always come first."
)
NORMALIZED_MAP = "Mean average precision rescaled so that 0 is chance and 1 is perfect, for any number of replicates."
SMALLEST_P = (
    "The smallest p-value that a treatment with so many replicates and negative controls can reach, before correction. "
    "Above 0.05, the treatment cannot be a hit, whatever its effect."
)
EFFECT = (
    "Mahalanobis distance of the wells to negative controls that the profile was not fitted on, less what chance "
    "gives. 0: no further than chance; 1: the profile moves as far as the noise of one well does."
)
ENERGY = (
    "Corrected p value of the energy distance, which compares the wells of a treatment with the controls as two sets "
    "instead of their means."
)
INDUCING_SHARE = "Share of the features that differ from the controls by more than 3 robust standard deviations."
REPLICATE_AGREEMENT = "Median correlation between the replicates of the treatment."
CELL_RATIO = (
    "Cells found, relative to the negative controls of the plate. Marked where the whole 95 % interval is below the "
    "limit of toxicity."
)
UMAP = (
    "UMAP places wells with similar profiles near each other. Neighbourhoods are meaningful; "
    "distances between distant groups, sizes of groups and the axes are not."
)
NSC = "Not same compound: the nearest neighbour of a treatment among the treatments of other compounds decides."
PREDICTION_SET = (
    "The mechanisms that fit a treatment. It holds the true one with a chosen probability (90 % by default), if the "
    "compound is like the labelled ones; an empty set means that no mechanism with references fits (novel)."
)
PERCENT_REPLICATING = (
    "Share of treatments whose replicates correlate better than 95 % of random groups "
    "with as many wells, all of different treatments."
)
LEDGER = (
    "The ledger: every step records the number of images, cells, wells and features in its input and output, "
    "and why the others were lost."
)

SSMD = (
    "Strictly standardized mean difference: distance of the means of positive and negative controls divided by the "
    "standard deviation of such a difference. 2 or more for a strong control, 1 for a moderate one."
)

_CHECKS = {
    "best_z_prime": "The single feature that separates this control best: an upper bound, since many were tried.",
    "robust_z": ROBUST_Z_PRIME,
    "z_prime": Z_PRIME,
    "ssmd": SSMD,
    "edge": "Difference between the outermost rows and columns of the plate and the inside.",
    "_row_": "Differences between the rows of the plate: the share of the variance between wells that they explain.",
    "_column_": "Differences between the columns: the share of the variance between wells that they explain.",
    "gradient": "Drift along rows and columns: the share of the variance between wells that a plane explains.",
    "control_shift": "Distance of the negative controls of this plate from those of the other plates.",
    "control_drift": "Share of the differences between the plates' negative controls that follows their order.",
    "replicate": "Correlation with plates of the same layout, well by well.",
    "negative_controls": "How many wells of the negative control the plate has: all effects are relative to them.",
    "reference": "Wells used for normalization: negative controls, or all wells of the plate if controls are too few.",
    "excluded": "The plate was left out by hand: 'phenoprint exclude SCREEN --list' shows when, by whom and why.",
    "cell_count": "Cells in a typical well.",
    "retrieval": "How well positive controls find each other among the negative ones. " + MAP,
    "flagged": "Share of the images that the image quality flags.",
}


def meaning_of_check(name: str) -> str | None:
    """Explain a check of plate acceptance; None where its name is clear.

    Examples
    --------
    >>> meaning_of_check("edge_effect")
    'Difference between the outermost rows and columns of the plate and the inside.'
    """
    return next((text for part, text in _CHECKS.items() if part in f"_{name.lower()}"), None)


def short_name(name: str, *, most: int = 34) -> str:
    """Return the name of a readout for a tab or an axis, shortened in the middle if long.

    Examples
    --------
    >>> short_name("Cells_AreaShape_Area"), short_name("Cytoplasm_Texture_InfoMeas2_Mito_3_00_256")
    ('Cells_AreaShape_Area', 'Cytoplasm_Textur…s2_Mito_3_00_256')
    """
    half = (most - 2) // 2
    return name if len(name) <= most else f"{name[:half]}…{name[-half:]}"
