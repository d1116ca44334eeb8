"""Words for kinds of wells: ``trt``, ``negcon``, ``poscon`` or ``empty``."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping

from phenoprint.errors import PlateMapError

__all__ = ["PERT_TYPES", "canonical_pert_type", "infer_pert_type", "is_ambiguous", "own_words", "word_key"]

PERT_TYPES = ("trt", "negcon", "poscon", "empty")

_MEANINGS = (
    "trt (a treatment), negcon (negative control: vehicle, untreated, non-targeting), "
    "poscon (positive control: a known effect), empty (no cells, or not part of the screen)"
)

_CONTROL = r"(?:controls?|ctrls?|ctls?|ctrs?|cntrls?|kontrollen?|kontr|controles?|temoins?|testigos?)"
_NEGATIVE = r"neg(?:ative?s?|ativ|ativ[eoa]s?|atifs?)?"
_POSITIVE = r"pos(?:itive?s?|itiv|itiv[eoa]s?|itifs?)?"
_VEHICLE = (
    r"dmso|dimethyl(?:sulf|sulph)oxide?|dimethylsulfoxid|vehicle|vehikel|vehicule|vehiculo|veh"
    r"|solvent|losungsmittel|loesungsmittel|solvant|disolvente|d?pbs|saline|water|(?:dd?)?h2o|wasser|eau|agua"
    r"|(?:culture|growth|cell(?:culture)?|kultur|zellkultur)?(?:medium|media)|milieu(?:deculture)?|medio(?:decultivo)?"
)
_UNTREATED = (
    r"(?:un|non|not)treated|untr|unbehandelt\w{0,2}|nontraitee?s?|sintratar|sintratamiento|notratad[oa]s?"
    r"|no(?:drugs?|treatment|compounds?|cmpd|cpd)|(?:un|non)stimulated|(?:cells|zellen|cellules|celulas)(?:only|alone)"
    r"|mock(?:treated|transfected|transfection|infected)?|(?:un|non)transfected"
    r"|emptyvector|vectoronly|leervektor|vecteurvide|vectorvacio|ctlvehicle|ctluntrt"
)
_GENETIC = (
    r"(?:si|sh|sg|g)?(?:rna)?(?:ntc|non?targeti?n?g?|nontargett?ing|scrambled?|nonsilencing)(?:si|sh|sg|g)?(?:rnas?|guides?)?"
    r"|(?:si|sh)scr|scr(?:sh|si)?rna|(?:si|sh|sg)(?:control|ctrl|ctl|nt|neg)|noguide|allstars(?:neg(?:ative)?)?"
)
_JUMP_NEGATIVE = r"jcp2022(?:033924|800001|800002|91512[89]|91513[01])"
_JUMP_POSITIVE = r"jcp2022(?:037716|025848|046054|035095|064022|050797|012818|085227|805264|915132)"

# Words are compared without case, accents, spaces and punctuation; a number at the end counts controls.
_NEGCON = re.compile(
    rf"(?:negcon|(?:{_NEGATIVE}){_CONTROL}|{_CONTROL}(?:{_NEGATIVE})"
    rf"|(?:{_VEHICLE}|{_UNTREATED}|{_GENETIC})(?:{_CONTROL}|treated)?|(?:dmso|vehicle|solvent|pbs|water)only"
    rf"|{_CONTROL}(?:{_VEHICLE}|{_UNTREATED}|{_GENETIC}))\d{{0,3}}|{_JUMP_NEGATIVE}"
)
_POSCON = re.compile(rf"(?:poscon|(?:{_POSITIVE}){_CONTROL}|{_CONTROL}(?:{_POSITIVE}))\d{{0,3}}|{_JUMP_POSITIVE}")
_EMPTY = re.compile(
    r"(?:empty|blank|blanc|blanco|leer)(?:s|e|es)?(?:wells?|puits|pozos?)?|(?:well|pozo|puits)(?:empty|blank|leer|vacio|vide)"
    r"|leerwerte?|leeres?well|vides?|vacios?|un(?:used|benutzt|belegt)|notused|nonutilise|"
    r"(?:no|without|ohne|keine|sans|sin)(?:cells|zellen|cellules|celulas)|cellfree|jcp2022999999"
)
# Valid in a column of kinds only: elsewhere they may be names.
_WORDS = {
    word: kind
    for kind, words in {
        "trt": "trt treatment treated treatments compound compounds cmpd cpd drug sample samples test testcompound"
        " experimental trtcp trtsh trtoe trtxpr library sirna sgrna shrna behandelt behandlung substanz testsubstanz"
        " prufsubstanz verbindung wirkstoff probe proben traite traitement compose echantillon tratado tratamiento"
        " compuesto muestra",
        "negcon": "negcon negative neg negativ negatif negativo nc nt ut unt",
        # tc: transfection control of the variant screens
        "poscon": "poscon positive pos positiv positif positivo pc posconcp posconorf poscondiverse tc",
        "empty": "empty",
    }.items()
    for word in words.split()
}
_SHORT = {"neg", "negative", "negativ", "nc", "nt", "ut", "pos", "positive", "positiv", "pc"}
_CONTROL_ALONE = re.compile(rf"{_CONTROL}(?:wells?|compounds?)?\d{{0,3}}")
_AMBIGUOUS = re.compile(rf"{_CONTROL_ALONE.pattern}|(?:medium|media)only|none|keine?|aucun|ningun[oa]?")
_MISSING = {"", "na", "n/a", "#n/a", "nan", "null", "-", "--", "–", "—"}

_PERCENT = re.compile(r"[\s_]*\(?\s*\d+(?:[.,]\d+)?\s*%\s*(?:v/?v)?\s*\)?[\s_]*", re.IGNORECASE)
# "+ control" and "control (-)"; elsewhere a minus only joins words.
_SIGNED = re.compile(rf"\(?([-–−+])(?:ve)?\)?[\s_]*({_CONTROL})|({_CONTROL})[\s_]*\(?([-–−+])(?:ve)?\)?")


def fold(text: str) -> str:
    """Lower case without accents, both micro signs as u.

    Examples
    --------
    >>> fold("Contrôle Négatif"), fold("µM")
    ('controle negatif', 'um')
    """
    plain = text.strip().replace("\u00b5", "u").replace("\u03bc", "u").replace("ß", "ss")
    return "".join(c for c in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(c)).lower()


def word_key(text: str) -> str:
    """Reduce a word to what it is compared by: no case, accents, spaces, punctuation or percentage of solvent.

    Examples
    --------
    >>> word_key("DMSO-Kontrolle"), word_key("0.5% DMSO"), word_key("control (+)"), word_key("Non-Targeting #3")
    ('dmsokontrolle', 'dmso', 'positivecontrol', 'nontargeting3')
    """
    plain = fold(text)
    if match := _SIGNED.fullmatch(plain):
        plain = ("positive" if "+" in (match[1], match[4]) else "negative") + (match[2] or match[3])
    return re.sub(r"[\W_]+", "", _PERCENT.sub(" ", plain))


def is_missing(text: str | None) -> bool:
    """Whether a cell is missing: blank, ``NA``, ``nan``, a dash."""
    return (text or "").strip().lower() in _MISSING


def is_ambiguous(text: str, *, is_name: bool = False) -> bool:
    """Whether a word may mean several kinds, such as ``control``, ``none`` or ``medium only``.

    In a column of compounds (`is_name`), ``NC`` or ``pos`` may be names, too.

    Examples
    --------
    >>> is_ambiguous("Control"), is_ambiguous("neg. control"), is_ambiguous("PC", is_name=True)
    (True, False, True)
    """
    key = word_key(text)
    return bool(_AMBIGUOUS.fullmatch(key)) or (is_name and key in _SHORT)


def is_bare_control(text: str) -> bool:
    """Whether a word means a control of unknown kind.

    Examples
    --------
    >>> is_bare_control("Kontrolle"), is_bare_control("none")
    (True, False)
    """
    return bool(_CONTROL_ALONE.fullmatch(word_key(text)))


def _kind_of_name(key: str) -> str | None:
    for pattern, kind in ((_EMPTY, "empty"), (_NEGCON, "negcon"), (_POSCON, "poscon")):
        if pattern.fullmatch(key):
            return kind
    return None


def known_pert_type(text: str) -> str | None:
    """Read the kind of a well; None if the word is unknown, or may mean several kinds.

    Examples
    --------
    >>> known_pert_type("NTC"), known_pert_type("Positivkontrolle"), known_pert_type("control")
    ('negcon', 'poscon', None)
    """
    key = word_key(text)
    return None if _AMBIGUOUS.fullmatch(key) else _WORDS.get(re.sub(r"\d+$", "", key)) or _kind_of_name(key)


def canonical_pert_type(text: str) -> str:
    """Read the kind of a well: ``trt``, ``negcon``, ``poscon`` or ``empty``.

    A ``blank`` is empty: medium without cells. ``untreated`` and ``Medium`` are negative controls, as are ``NTC``,
    ``scrambled`` and ``non-targeting``. `phenoprint.plates.parse_plate_map` takes other meanings of words.

    Raises
    ------
    PlateMapError
        If the word is unknown, or may mean several kinds, such as ``control``; lists the kinds.

    Examples
    --------
    >>> canonical_pert_type("NegCon"), canonical_pert_type("poscon_cp"), canonical_pert_type("treatment")
    ('negcon', 'poscon', 'trt')
    """
    if found := known_pert_type(text):
        return found
    word = text.strip()
    if is_ambiguous(text):
        problem = f"pert_type {word!r} may mean several kinds of well, such as negcon or poscon;"
    else:
        close = difflib.get_close_matches(word_key(text), PERT_TYPES, n=1, cutoff=0.75)
        hint = f"did you mean {close[0]!r}?" if close else "it is no kind of well:"
        problem = f"unknown pert_type {word!r}; {hint}"
    raise PlateMapError(
        f"{problem} write {_MEANINGS}, or (for images) define the word in screen.toml: "
        f'[plate_map] pert_types = {{ "{word}" = "negcon" }}'
    )


def infer_pert_type(compound: str | None, *, solvent: str | None = None) -> str:
    """Infer the kind of a well from its compound.

    Names of vehicles, of untreated wells and of non-targeting reagents (DMSO, medium, untreated, mock, scrambled,
    and JUMP's identifiers) are negative controls; ``empty``, ``blank`` and a blank cell are empty, save where the
    solvent is DMSO: Broad's maps leave the sample of a DMSO well blank. JUMP's positive controls are recognised
    by identifier only, because their compounds are treatments elsewhere. Everything else is a treatment.

    Examples
    --------
    >>> infer_pert_type("DMSO"), infer_pert_type("taxol"), infer_pert_type(None)
    ('negcon', 'trt', 'empty')
    >>> infer_pert_type("", solvent="DMSO")
    'negcon'
    """
    if is_missing(compound):
        is_vehicle = bool(solvent) and _NEGCON.fullmatch(word_key(solvent or ""))
        return "negcon" if is_vehicle else "empty"
    return _kind_of_name(word_key(compound or "")) or "trt"


def own_words(pert_types: Mapping[str, str]) -> dict[str, str]:
    """Fold the user's words, so that case, spaces and accents do not matter.

    Raises
    ------
    PlateMapError
        If a word has a kind that does not exist.
    """
    return {fold(word): canonical_pert_type(kind) for word, kind in pert_types.items()}
