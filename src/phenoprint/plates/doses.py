"""Doses in common spellings: ``3.6 µM``, ``10nM``, ``0,5``, ``1e-3``."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from phenoprint.errors import PlateMapError
from phenoprint.plates.pert_types import is_missing

__all__ = ["Dose", "canonical_unit", "molar_factor", "parse_dose"]

# Powers of ten of mol/l. The spelling is ASCII, so that it can be typed in SQL.
MOLAR = {"M": 0, "mM": -3, "uM": -6, "nM": -9, "pM": -12, "fM": -15}

_UNITS = {
    **{unit.lower(): unit for unit in MOLAR if unit != "M"},  # a lone m is no unit of dose
    "molar": "M",
    "mol/l": "M",
    "mmol/l": "mM",
    "umol/l": "uM",
    "nmol/l": "nM",
    "pmol/l": "pM",
    "moles_per_liter": "M",
    "mmoles_per_liter": "mM",
    "umoles_per_liter": "uM",
    "nmoles_per_liter": "nM",
    "millimolar": "mM",
    "micromolar": "uM",
    "nanomolar": "nM",
    "picomolar": "pM",
    "femtomolar": "fM",
    "fmol/l": "fM",
    **{f"{prefix}mol/dm3": f"{prefix}M" for prefix in ("", "m", "u", "n", "p", "f")},
    "g/l": "g/l",
    "mg/ml": "mg/ml",
    "ug/ml": "ug/ml",
    "ng/ml": "ng/ml",
    "pg/ml": "pg/ml",
    "mg_per_ml": "mg/ml",
    "ug_per_ml": "ug/ml",
    "ng_per_ml": "ng/ml",
    "mg/l": "mg/l",
    "u/ml": "U/ml",
    "%": "%",
    "percent": "%",
    "%v/v": "%",
    "moi": "MOI",
}
_NUMBER = re.compile(r"([+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?)\s*(.*)", re.DOTALL)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


class Dose(NamedTuple):
    """A concentration and its unit; either may be missing."""

    value: float | None
    unit: str | None


def canonical_unit(text: str) -> str | None:
    """Return the standard spelling of a concentration unit, or None for text that is no unit.

    Parameters
    ----------
    text
        Such as ``"µM"`` (either micro sign), ``"um"``, ``"mmoles_per_liter"``, ``"ug/mL"``.

    Examples
    --------
    >>> canonical_unit("µM"), canonical_unit("μmol/L"), canonical_unit("furlong")
    ('uM', 'uM', None)
    """
    cleaned = text.strip().strip("()[]").strip()
    if cleaned in MOLAR:
        return cleaned
    key = re.sub(r"\s+", "", cleaned).replace("\u00b5", "u").replace("\u03bc", "u").lower()
    return _UNITS.get(key)


def molar_factor(unit: str | None) -> float | None:
    """Return the mol/l in one of a unit; None if the unit is not molar.

    Examples
    --------
    >>> molar_factor("µM"), molar_factor("nmol/L"), molar_factor("M"), molar_factor("mg/mL"), molar_factor("m")
    (1e-06, 1e-09, 1.0, None, None)
    """
    power = MOLAR.get(canonical_unit(unit or "") or "")
    return None if power is None else float(f"1e{power}")


def parse_dose(text: str | None) -> Dose:
    """Read one dose.

    Parameters
    ----------
    text
        A number with or without a unit; a decimal comma is allowed. Blank text, ``NA`` and ``nan`` are
        missing.

    Returns
    -------
    Dose
        ``value`` in ``unit``; both None when missing, ``unit`` None when none was written.

    Raises
    ------
    PlateMapError
        If the text is no number, is negative or infinite, has an unknown unit, or could mean a thousand as well
        as one (``"1,000"``).

    Examples
    --------
    >>> parse_dose("3.6 µM"), parse_dose("10nM")
    (Dose(value=3.6, unit='uM'), Dose(value=10.0, unit='nM'))
    >>> parse_dose("0,5"), parse_dose("NA")
    (Dose(value=0.5, unit=None), Dose(value=None, unit=None))
    """
    cleaned = (text or "").strip()
    if is_missing(cleaned) or cleaned.lower() == "none":
        return Dose(None, None)
    match = _NUMBER.fullmatch(cleaned)
    if match is None:
        raise PlateMapError(f"dose {cleaned!r} is not a number; write it like 3.6, 3.6 uM or 10 nM, or leave it blank")
    number, rest = match[1], match[2].strip()
    if _THOUSANDS.fullmatch(number):
        raise PlateMapError(
            f"dose {cleaned!r} may mean {number.replace(',', '')} or {number.replace(',', '.')}; write either"
        )
    value = float(number.replace(",", "."))
    unit = canonical_unit(rest) if rest else None
    if rest and unit is None:
        raise PlateMapError(
            f"dose {cleaned!r} has an unknown unit {rest!r}; known: {', '.join(sorted(set(_UNITS.values())))}"
        )
    if value < 0 or not math.isfinite(value):
        raise PlateMapError(f"dose {cleaned!r} is negative or infinite; a dose is 0 or more")
    return Dose(value, unit)
