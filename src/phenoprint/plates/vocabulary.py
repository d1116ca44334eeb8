"""Names in use for the columns of a plate map."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from phenoprint.plates.doses import canonical_unit
from phenoprint.plates.pert_types import fold

__all__ = ["COLUMNS", "MAYBE_PERT_TYPE", "column_key", "match_columns", "name_key", "split_unit"]

# Roles in order of preference: the first name present takes the role. English, German, French and Spanish;
# names are compared without case, accents, spaces and punctuation.
COLUMNS: Mapping[str, Sequence[str]] = {
    role: tuple(names.split())
    for role, names in {
        "well": "well well_position wellposition well_name well_id wellid wells well_label well_number well_no"
        " well_pos well_address position kavitat kavitaet vertiefung napf napfchen brunnen puits puit pozo pozos"
        " pocillo pocillos",
        "row": "row well_row plate_row rows zeile zeilen reihe ligne rangee fila",
        "col": "col column well_col well_column plate_col plate_column columns spalte spalten colonne columna",
        "plate": "plate plate_id plateid assay_plate_barcode plate_barcode barcode plate_name plate_number plate_no"
        " assay_plate platte platten_id plattenname platten_barcode platten_nr plattennummer plaque nom_plaque"
        " code_barres placa nombre_placa codigo_de_barras",
        "batch": "batch batch_id charge lote",
        "pert_type": "pert_type perttype perturbation_type control_type controltype well_type well_role"
        " kontrolltyp well_typ type_de_puits tipo_de_pozo",
        "compound": "compound compound_name treatment treatment_name drug drug_name pert_iname perturbation"
        " compound_id broad_sample jcp2022 pert pert_id pert_name reagent sirna sgrna allele gene gene_name"
        " gene_symbol symbol cmpd cmpd_name cmpd_id cpd cpd_name cpd_id compounds substance substance_name"
        " molecule molecule_name perturbagen inhibitor small_molecule agent test_article product_name item_name"
        " shrna grna guide sirna_name substanz substanzname substanz_id substanzen verbindung wirkstoff stoff"
        " stoffname praparat behandlung medikament hemmstoff inhibiteur compose molecule_testee substance_active"
        " traitement medicament compuesto sustancia tratamiento farmaco droga inhibidor gen",
        "concentration": "concentration conc dose mmoles_per_liter umoles_per_liter nmoles_per_liter"
        " pert_dose compound_concentration final_concentration treatment_dose mg_per_ml ug_per_ml final_conc"
        " conc_final cmpd_conc cpd_conc compound_conc drug_concentration drug_conc dosage concentrations"
        " konzentration konz endkonzentration dosis dosierung wirkstoffkonzentration concentration_finale"
        " concentracion concentracion_final",
        "unit": "concentration_unit concentration_units conc_unit conc_units dose_unit dose_units unit units"
        " pert_dose_unit compound_concentration_unit einheit konzentrationseinheit konz_einheit unite unidad unidades",
        "moa": "moa mechanism_of_action mechanism wirkmechanismus mechanismus mecanisme mecanisme_d_action"
        " mecanisme_action mecanismo mecanismo_de_accion",
        "solvent": "solvent vehicle losungsmittel loesungsmittel vehikel solvant vehicule disolvente vehiculo",
    }.items()
}

# Columns with these names hold kinds of wells if all their values are such; otherwise they are ordinary metadata.
MAYBE_PERT_TYPE: Sequence[str] = tuple(
    name
    for names in (
        "type role content contents well_content category class group kind status condition control",
        "treatment_type sample_type compound_type content_type control_kind description label annotation",
        "treatment typ rolle art inhalt kategorie klasse gruppe kontrolle probentyp probenart behandlungstyp",
        "behandlungsart bedingung beschreibung behandlung contenu categorie classe groupe controle",
        "type_de_traitement type_de_controle traitement tipo rol contenido categoria clase grupo condicion",
        "tipo_de_tratamiento tipo_de_control tratamiento",
    )
    for name in names.split()
)

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
    head, _, tail = re.sub(r"[\s_,]+", "_", name.strip()).rpartition("_")
    if head and (unit := canonical_unit(tail)):
        return head, unit
    return name, None


def name_key(name: str) -> str:
    """Reduce a column name to what it is compared by: no prefix, case, accents, spaces and punctuation.

    Examples
    --------
    >>> name_key("Metadata_Well Position"), name_key("Concentración"), name_key("Treatment-Type")
    ('wellposition', 'concentracion', 'treatmenttype')
    """
    return column_key(fold(re.sub(r"^(?:image_)?metadata_", "", name.strip(), flags=re.IGNORECASE))).replace("_", "")


def match_columns(names: Iterable[str], more: Mapping[str, Sequence[str]] | None = None) -> dict[str, str]:
    """Assign columns to roles by their names.

    Parameters
    ----------
    names
        Column names as written.
    more
        Further roles with their names, such as ``{"site": ["site", "field"]}``.

    Returns
    -------
    dict
        Role (a key of ``COLUMNS`` or `more`) to the column's name as written; roles without a column are absent.

    Examples
    --------
    >>> match_columns(["well_position", "broad_sample", "mmoles_per_liter"])
    {'well': 'well_position', 'compound': 'broad_sample', 'concentration': 'mmoles_per_liter'}
    """
    written: dict[str, str] = {}
    doses: dict[str, str] = {}
    for name in names:
        written.setdefault(name_key(name), name)
        doses.setdefault(name_key(split_unit(name)[0]), name)
    roles: dict[str, str] = {}
    for role, known in {**COLUMNS, **(more or {})}.items():
        pool = {**doses, **written} if role == "concentration" else written
        found = next((pool[key] for name in known if (key := name.replace("_", "")) in pool), None)
        if found is not None:
            roles[role] = found
    return roles
