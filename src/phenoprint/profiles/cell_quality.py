"""Flag objects that are not intact cells: debris, clumps, failed segmentation. No row is removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import DataError, SchemaError, UsageError
from phenoprint.profiles.reference_wells import reference_rows
from phenoprint.tables import CELL_KEY, Groups, feature_matrix, mad, median, require_columns, to_polars

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FrameLike

__all__ = ["DEFAULT_CELL_RULES", "CellRule", "Limit", "cell_quality", "preview_cell_quality"]


@dataclass(frozen=True)
class Limit:
    """An upper or lower limit on one feature: a robust z, combined with a limit that does not depend on the population.

    A robust z alone flags a share of every population, however healthy; an absolute limit alone ignores the cell line.
    A cell is beyond the limit only if it exceeds every number given here.

    Parameters
    ----------
    feature
        Column.
    side
        ``"below"`` or ``"above"``.
    z
        Robust z (median, MAD times 1.4826, per plate), signed.
    absolute
        In the unit of the feature.
    ratio
        In multiples of the plate's median, for features in pixels, which depend on the magnification.
    """

    feature: str
    side: str
    z: float | None = None
    absolute: float | None = None
    ratio: float | None = None

    def __post_init__(self) -> None:
        if self.side not in ("below", "above"):
            raise UsageError(f"side of a limit must be 'below' or 'above'; found {self.side!r}")
        if self.z is None and self.absolute is None and self.ratio is None:
            raise UsageError(f"a limit on {self.feature} needs z, absolute or ratio; found none")


@dataclass(frozen=True)
class CellRule:
    """A named rule: a cell is an outlier if it is beyond all limits.

    Parameters
    ----------
    name
        Reported as the reason.
    limits
        Limits that a cell must all exceed.
    """

    name: str
    limits: tuple[Limit, ...]


DEFAULT_CELL_RULES: tuple[CellRule, ...] = (
    CellRule(
        "small_not_round",
        (
            Limit("Nuclei_AreaShape_Area", "below", z=-1.0, ratio=0.6),
            Limit("Nuclei_AreaShape_FormFactor", "below", z=-1.0, absolute=0.8),
        ),
    ),
    CellRule("elongated", (Limit("Nuclei_AreaShape_Eccentricity", "above", z=2.0, absolute=0.9),)),
    CellRule(
        "large_not_round",
        (
            Limit("Nuclei_AreaShape_Area", "above", z=2.0, ratio=1.5),
            Limit("Nuclei_AreaShape_FormFactor", "below", z=-2.0, absolute=0.75),
        ),
    ),
)
"""The rules of coSMicQC (small and not round: debris; elongated; large and not round: clumps), each robust z
combined with a fixed limit. Multiple or enlarged nuclei that are round are a phenotype and are not flagged."""


def cell_quality(
    cells: FrameLike,
    *,
    rules: Sequence[CellRule] = DEFAULT_CELL_RULES,
    flags: Sequence[str] = (),
    by: Sequence[str] = ("Metadata_Plate",),
    reference: pl.Expr | None = None,
) -> pl.DataFrame:
    """Flag cells by rules on their features.

    Parameters
    ----------
    cells
        One row per cell with the features of the rules and, if present, plate, well, site and object number.
    rules
        See `CellRule`; an empty list: only `flags`.
    flags
        Boolean columns that are flags already, such as ``["touches_border"]`` joined from the object table.
    by
        Columns within which robust z and medians are computed.
    reference
        A polars expression for the cells that define median and MAD, such as those of the controls; None: all.

    Returns
    -------
    polars.DataFrame
        One row per cell in the order of `cells`: plate, well, site, object number, ``is_outlier`` (Boolean) and
        ``reasons`` (the names of the rules and flags, joined by ``;``; NULL if there is none). A cell without a value
        of a rule's feature is an outlier with the reason ``missing_<feature>``; a missing flag gives
        ``missing_<flag>``.

    Raises
    ------
    DataError
        If a group has cells but no reference cell with a value of a rule's feature.
    SchemaError
        If a rule's feature or a flag is not a column.
    UsageError
        If `reference` is not true or false for each cell.

    Examples
    --------
    >>> cells = pl.DataFrame({"Metadata_Plate": ["p"] * 5, "x": [1.0, 2.0, 3.0, 90.0, None]})
    >>> rule = CellRule("large", (Limit("x", "above", z=3.0, absolute=50.0),))
    >>> cell_quality(cells, rules=[rule])["reasons"].to_list()
    [None, None, None, 'large', 'missing_x']
    """
    data = to_polars(cells)
    features = sorted({limit.feature for rule in rules for limit in rule.limits})
    absent = [name for name in (*features, *flags) if name not in data.columns]
    if absent:
        raise SchemaError(
            f"cell quality needs the columns {', '.join(absent)}; the table does not have them. "
            "Measure them, or pass rules and flags for the columns of the table"
        )
    require_columns(data, by, purpose="grouping")
    values = dict(zip(features, feature_matrix(data, features).astype(np.float64), strict=True))
    centers, spreads = _centers_and_spreads(data, features, values, by, reference)
    named: dict[str, NDArray[np.bool_]] = {}
    for rule in rules:
        beyond = np.ones(data.height, dtype=bool)
        for limit in rule.limits:
            x, center, spread = values[limit.feature], centers[limit.feature], spreads[limit.feature]
            beyond &= _beyond(limit, x, center, spread)
        named[rule.name] = beyond
    named |= {f"missing_{name}": np.isnan(values[name]) for name in features}
    for flag in flags:
        column = data.get_column(flag)
        if column.dtype != pl.Boolean:
            raise SchemaError(f"flag {flag!r} must be a Boolean column; found {column.dtype}")
        named[flag] = column.fill_null(value=False).to_numpy()
        named[f"missing_{flag}"] = column.is_null().to_numpy()
    masks = pl.DataFrame(named) if named else pl.DataFrame({"none": np.zeros(data.height, dtype=bool)})
    found = masks.select(
        is_outlier=pl.any_horizontal(pl.all()),
        reasons=pl.concat_str(
            (pl.when(pl.col(name)).then(pl.lit(name)) for name in masks.columns),
            separator=";",
            ignore_nulls=True,
        ),
    )
    identity = data.select(name for name in CELL_KEY if name in data.columns)
    return pl.concat(
        [
            identity,
            found.with_columns(pl.when(pl.col("is_outlier")).then(pl.col("reasons")).alias("reasons")),
        ],
        how="horizontal",
    )


def preview_cell_quality(
    cells: FrameLike,
    quality: pl.DataFrame,
    by: Sequence[str] = ("Metadata_compound",),
    *,
    reference: pl.Expr,
    limit: float = 4.0,
    excess: float = 0.05,
) -> pl.DataFrame:
    """Count the cells that each rule removes from each treatment, and mark shares that are likely a phenotype.

    A rule that removes a tenth of the controls' cells removes debris; one that removes half of a treatment's cells may
    remove the effect of the treatment.

    Parameters
    ----------
    cells
        One row per cell with the columns of `by`.
    quality
        The result of `cell_quality` for these cells, in their order.
    by
        Columns that define a treatment; NULL counts as a treatment.
    reference
        A polars expression for the control cells.
    limit
        Standard errors by which the share of a treatment must exceed that of the controls for a likely phenotype.
    excess
        Difference by which the share must also exceed that of the controls: a few cells among hundreds can be
        significant without affecting a profile.

    Returns
    -------
    polars.DataFrame
        One row per treatment and rule (``any`` for all together), sorted: the keys, ``rule``, ``n_cells``,
        ``n_removed``, ``share``, ``share_reference``, ``z`` (two proportions, pooled; NULL if nothing is removed from
        treatment and controls) and ``is_likely_phenotype``.

    Raises
    ------
    DataError
        If there is no control cell.
    SchemaError
        If `quality` does not have one row per cell.

    Examples
    --------
    >>> cells = pl.DataFrame({"Metadata_compound": ["DMSO"] * 100 + ["a"] * 50})
    >>> quality = pl.DataFrame({"reasons": ["large"] * 5 + [None] * 95 + ["large"] * 40 + [None] * 10})
    >>> table = preview_cell_quality(cells, quality, reference=pl.col("Metadata_compound") == "DMSO")
    >>> table.filter(rule="any").select("Metadata_compound", "share", "is_likely_phenotype").rows()
    [('DMSO', 0.05, False), ('a', 0.8, True)]
    """
    data = to_polars(cells)
    require_columns(data, by, purpose="treatments")
    if quality.height != data.height:
        raise SchemaError(f"cell quality must have one row per cell; found {quality.height} for {data.height} cells")
    chosen = reference_rows(data, reference)
    n_reference = int(chosen.sum())
    if not n_reference:
        raise DataError("the reference selects no control cell; check the plate map's negcon")
    groups = Groups.of(data, by, null_keys="group")
    n_cells = groups.sizes.astype(np.float64)
    reasons = quality.get_column("reasons")
    names = sorted({name for text in reasons.drop_nulls().unique().to_list() for name in text.split(";")})
    parts = reasons.str.split(";")
    is_much = pl.col("share") - pl.col("share_reference") > excess
    tables = []
    for name in ("any", *names):
        gone = (reasons.is_not_null() if name == "any" else parts.list.contains(name).fill_null(value=False)).to_numpy()
        removed = np.bincount(groups.codes[gone], minlength=len(groups)).astype(np.float64)
        usual = int((gone & chosen).sum())
        pooled = (removed + usual) / (n_cells + n_reference)
        error = np.sqrt(pooled * (1 - pooled) * (1 / n_cells + 1 / n_reference))
        z = np.divide(removed / n_cells - usual / n_reference, error, out=np.full(len(groups), np.nan), where=error > 0)
        tables.append(
            groups.keys.with_columns(
                pl.lit(name).alias("rule"),
                pl.Series("n_cells", groups.sizes, dtype=pl.Int64),
                pl.Series("n_removed", removed.astype(np.int64)),
                pl.Series("share", removed / n_cells),
                pl.lit(usual / n_reference).alias("share_reference"),
                pl.Series("z", z, nan_to_null=True),
            ).with_columns(is_likely_phenotype=((pl.col("z") > limit) & is_much).fill_null(value=False))
        )
    return pl.concat(tables).sort([*by, "rule"], nulls_last=True)


def _centers_and_spreads(
    data: pl.DataFrame,
    features: Sequence[str],
    values: dict[str, NDArray[np.float64]],
    by: Sequence[str],
    reference: pl.Expr | None,
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Return the median and MAD of each cell's group, one value per cell."""
    groups = Groups.of(data, by)
    chosen = reference_rows(data, reference)
    block = np.stack([values[name] for name in features]) if features else np.empty((0, data.height))
    center, spread = np.full_like(block, np.nan), np.full_like(block, np.nan)
    for key, rows in groups.items():
        of_reference = block[:, rows[chosen[rows]]]
        blind = np.isnan(of_reference).all(axis=1) & ~np.isnan(block[:, rows]).all(axis=1)
        if blind.any():  # without a median no cell could be flagged
            raise DataError(
                f"no reference cell of {', '.join(map(str, key)) or 'the table'} has a value of "
                f"{features[int(blind.argmax())]}, while other cells do: check the reference expression and the plate "
                "map, leave those cells out, or use all cells with reference=None"
            )
        center[:, rows] = median(of_reference)[:, None]
        spread[:, rows] = mad(of_reference)[:, None]
    return dict(zip(features, center, strict=True)), dict(zip(features, spread, strict=True))


def _beyond(
    limit: Limit, x: NDArray[np.float64], center: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return whether cells are beyond every number of a limit; False for a missing value, which has its own flag."""
    sign = 1.0 if limit.side == "above" else -1.0
    beyond = np.ones(len(x), dtype=bool)  # comparisons with NaN are false
    # Compared as products, so that a spread of zero needs no division.
    if limit.z is not None:
        beyond &= sign * (x - center) > sign * limit.z * spread
    if limit.absolute is not None:
        beyond &= sign * x > sign * limit.absolute
    if limit.ratio is not None:
        beyond &= sign * x > sign * limit.ratio * center
    return beyond
