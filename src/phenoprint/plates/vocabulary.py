"""The field's words for the columns, roles and controls of a plate map."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from phenoprint.errors import PlateMapError
from phenoprint.plates.doses import canonical_unit

__all__ = ["PERT_TYPES", "canonical_pert_type", "column_key", "infer_pert_type", "match_columns"]

PERT_TYPES = ("trt", "negcon", "poscon", "empty")

# Roles in order of preference: the first name present takes the role.
COLUMNS: Mapping[str, Sequence[str]] = {
    role: tuple(names.split())
    for role, names in {
        "well": "well well_position wellposition well_name well_id wellid wells well_label position",
        "row": "row well_row plate_row rows",
        "col": "col column well_col well_column plate_col plate_column",
        "plate": "plate plate_id plateid assay_plate_barcode plate_barcode barcode plate_name",
        "batch": "batch batch_id",
        "pert_type": "pert_type perttype perturbation_type control_type controltype well_type well_role",
        "compound": "compound compound_name treatment treatment_name drug drug_name pert_iname perturbation"
        " compound_id broad_sample jcp2022 pert pert_id pert_name reagent sirna sgrna allele gene gene_name"
        " gene_symbol symbol",
        "concentration": "concentration conc dose mmoles_per_liter umoles_per_liter nmoles_per_liter"
        " pert_dose compound_concentration final_concentration treatment_dose mg_per_ml ug_per_ml",
        "unit": "concentration_unit concentration_units conc_unit conc_units dose_unit dose_units unit units"
        " pert_dose_unit compound_concentration_unit",
        "moa": "moa mechanism_of_action mechanism",
        "solvent": "solvent",
    }.items()
}

_PERT_TYPES = {
    **{name: name for name in PERT_TYPES},
    "treatment": "trt",
    "treated": "trt",
    "compound": "trt",
    "sample": "trt",
    "test": "trt",
    "trt_cp": "trt",
    "trt_sh": "trt",
    "trt_oe": "trt",
    "trt_xpr": "trt",
    "negative": "negcon",
    "negative_control": "negcon",
    "neg_control": "negcon",
    "neg": "negcon",
    "nc": "negcon",
    "ctl_vehicle": "negcon",
    "ctl_untrt": "negcon",
    "vehicle": "negcon",
    "positive": "poscon",
    "positive_control": "poscon",
    "pos_control": "poscon",
    "pos": "poscon",
    "pc": "poscon",
    "poscon_cp": "poscon",
    "poscon_orf": "poscon",
    "poscon_diverse": "poscon",
    "tc": "poscon",  # transfection control of the variant screens
    "blank": "empty",
    "unused": "empty",
}

_NEGATIVE = re.compile(
    r"dmso(?:[\s_]*\(?[\d.,]+\s*%\)?)?|dimethyl\s?sulf?ph?oxide|dimethyl\s?sulfoxide|vehicle(?:[\s_]+control)?|negcon"
    r"|neg(?:ative)?[\s_]+(?:control|ctrl)|untreated|no[\s_]+(?:drug|treatment|compound)|mock"
    r"|non-targeting|no-guide|jcp2022_(?:033924|800001|800002|91512[89]|91513[01])",
    re.IGNORECASE,
)
_POSITIVE = re.compile(
    r"poscon|pos(?:itive)?[\s_]+(?:control|ctrl)"
    r"|jcp2022_(?:037716|025848|046054|035095|064022|050797|012818|085227|805264|915132)",
    re.IGNORECASE,
)
_EMPTY = re.compile(r"empty|blank|no[\s_]+cells|jcp2022_999999", re.IGNORECASE)
_IN_NAME = re.compile(r"^(?P<name>.*?)[\s_]*[(\[](?P<unit>[^)\]]+)[)\]]$")


def column_key(name: str) -> str:
    """Reduce a column name to lower-case words without the ``Metadata_`` prefix.

    Examples
    --------
    >>> column_key("Metadata_Well Position"), column_key("moa")
    ('well_position', 'moa')
    """
    bare = re.sub(r"^(?:image_)?metadata_", "", name.strip(), flags=re.IGNORECASE)
    return re.sub(r"[^\w]+", "_", bare).strip("_").lower()


def split_unit(name: str) -> tuple[str, str | None]:
    """Split a unit off a column name.

    Examples
    --------
    >>> split_unit("Concentration (µM)"), split_unit("dose_nM"), split_unit("mmoles_per_liter")
    (('Concentration', 'uM'), ('dose', 'nM'), ('mmoles_per_liter', 'mM'))
    """
    if match := _IN_NAME.match(name.strip()):
        unit = canonical_unit(match["unit"])
        return (match["name"], unit) if unit else (name, None)
    if (whole := canonical_unit(column_key(name))) and "_per_" in name.lower():
        return name, whole
    head, _, tail = name.strip().rpartition("_")
    if head and (unit := canonical_unit(tail)):
        return head, unit
    return name, None


def match_columns(names: Iterable[str]) -> dict[str, str]:
    """Guess which column plays which role.

    Parameters
    ----------
    names
        Column names as written.

    Returns
    -------
    dict
        Role (a key of ``COLUMNS``) to the column's name as written; roles without a column are absent.

    Examples
    --------
    >>> match_columns(["well_position", "broad_sample", "mmoles_per_liter"])
    {'well': 'well_position', 'compound': 'broad_sample', 'concentration': 'mmoles_per_liter'}
    """
    written: dict[str, str] = {}
    doses: dict[str, str] = {}
    for name in names:
        written.setdefault(column_key(name), name)
        doses.setdefault(column_key(split_unit(name)[0]), name)
    roles: dict[str, str] = {}
    for role, known in COLUMNS.items():
        pool = {**doses, **written} if role == "concentration" else written
        found = next((pool[key] for key in known if key in pool), None)
        if found is not None:
            roles[role] = found
    return roles


def canonical_pert_type(text: str) -> str:
    """Read the role of a well: ``trt``, ``negcon``, ``poscon`` or ``empty``.

    Raises
    ------
    PlateMapError
        The word is not known; the closest is offered.

    Examples
    --------
    >>> canonical_pert_type("NegCon"), canonical_pert_type("poscon_cp"), canonical_pert_type("treatment")
    ('negcon', 'poscon', 'trt')
    """
    key = column_key(text)
    if key in _PERT_TYPES:
        return _PERT_TYPES[key]
    close = difflib.get_close_matches(key, _PERT_TYPES, n=1)
    hint = f"; did you mean {_PERT_TYPES[close[0]]!r}?" if close else "."
    raise PlateMapError(f"unknown pert_type {text.strip()!r}{hint} Known: {', '.join(PERT_TYPES)}")


def infer_pert_type(compound: str | None, *, solvent: str | None = None) -> str:
    """Guess the role of a well from its compound.

    Names of vehicles and of untreated wells (DMSO, vehicle, untreated, no drug, mock, non-targeting, and
    JUMP's identifiers) are negative controls; ``empty`` and a blank cell are empty, save where the solvent is
    DMSO: Broad's maps leave the sample of a DMSO well blank. JUMP's positive controls are known by identifier
    only, because their compounds are treatments elsewhere. Everything else is a treatment.

    Examples
    --------
    >>> infer_pert_type("DMSO"), infer_pert_type("taxol"), infer_pert_type(None)
    ('negcon', 'trt', 'empty')
    >>> infer_pert_type("", solvent="DMSO")
    'negcon'
    """
    name = (compound or "").strip()
    if not name:
        return "negcon" if solvent and _NEGATIVE.fullmatch(solvent.strip()) else "empty"
    for pattern, role in ((_NEGATIVE, "negcon"), (_POSITIVE, "poscon"), (_EMPTY, "empty")):
        if pattern.fullmatch(name):
            return role
    return "trt"
