"""File names of microscopes and public screens, as regular expressions over the path below the image root.

Named groups: ``plate``, ``well`` (or ``row`` and ``col``, letters or numbers, padded or not), ``site``,
``channel``, ``z``, ``t``. Patterns are matched by Rust's regex engine (polars): no look-around, no
back-references.
"""

from __future__ import annotations

__all__ = ["GENERIC", "GROUPS", "PATTERNS"]

GROUPS = frozenset({"plate", "well", "row", "col", "site", "channel", "z", "t"})

_DIRS = r"(?:.*/)?"
_WELL = r"(?P<well>[A-Pa-p]\d{1,2}|[Q-Zq-z]\d{2}|[Aa][A-Fa-f]\d{2})"
_Z_T = r"(?:_z(?P<z>\d+))?(?:_t(?P<t>\d+))?"
_GUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_IMAGE = r"(?:\.ome)?\.(?i:tiff?|png|jpe?g)"
# Words with single separators: two separators, or one at an end, belong to an unknown part of the name.
_CHANNEL = r"(?P<channel>[\pL\pN]+(?:[ ._+-][\pL\pN]+)*?)"

# From the most specific to the most general.
PATTERNS: dict[str, str] = {
    # Opera Phenix and Operetta, Harmony 4 and 5: r01c01f01p01-ch1sk1fk1fl1.tiff
    "phenix": _DIRS
    + r"r(?P<row>\d+)c(?P<col>\d+)f(?P<site>\d+)p(?P<z>\d+)(?:rc\d+)?-(?P<channel>ch\d+)"
    + r"(?:sk(?P<t>\d+))?(?:fk\d+)?(?:fl\d+)?"
    + _IMAGE,
    # Yokogawa CellVoyager: name_D08_T0001F001L01A01Z01C01.tif
    "cellvoyager": _DIRS
    + r"(?P<plate>[^/]+)_"
    + _WELL
    + r"_T(?P<t>\d+)F(?P<site>\d+)L\d+A\d+Z(?P<z>\d+)(?P<channel>C\d+)"
    + _IMAGE,
    # ImageXpress (MetaXpress): TimePoint_1/ZStep_0/name_B02_s1_w1<guid>.TIF; BBBC021 and BBBC022 too
    "imagexpress": r"(?:(?:.*/)?TimePoint_(?P<t>\d+)/)?(?:(?:.*/)?ZStep_(?P<z>\d+)/)?"
    + _DIRS
    + r"(?:(?P<plate>[^/]+?)_)??"  # the shortest match, otherwise site s10 would be well S10
    + _WELL
    + r"(?:_s(?P<site>\d+))?_(?P<channel>w\d{1,2})(?:"
    + _GUID
    + r")?"
    + _IMAGE,
    # BBBC013 and BBBC014: Channel1-01-A-01.tif
    "bbbc013": _DIRS + r"(?P<channel>Channel\d+)-\d+-(?P<row>[A-P])-(?P<col>\d{2})" + _IMAGE,
    # BioTek Cytation and Lionheart (Gen5): B7_01_1_3_DAPI_001.tif
    "cytation": _DIRS + _WELL + r"_\d+_\d+_(?P<site>\d+)_(?P<channel>[^/_]+)_(?P<t>\d+)" + _IMAGE,
    # GE InCell Analyzer: B - 02(fld 1 wv DAPI - DAPI z 1 time 1).tif
    "incell": _DIRS
    + r"(?P<row>[A-Pa-p]) - (?P<col>\d+)\(fld (?P<site>\d+)(?: wv (?P<channel>[^)]+?))?"
    + r"(?: z (?P<z>\d+))?(?: time (?P<t>\d+)(?: - [^)]*)?)?\)"
    + _IMAGE,
    # Thermo CellInsight and ArrayScan: AS_09125_050116030001_D03f00d0.tif
    "cellinsight": _DIRS + r"(?P<plate>[^/]+)_" + _WELL + r"f(?P<site>\d{2,3})(?P<channel>d\d)" + _IMAGE,
    # Olympus ScanR: data/A1--W00001--P00001--Z00000--T00000--GFP.tif; W counts wells, P positions in the well
    "scanr": _DIRS + _WELL + r"--W\d{5}--P(?P<site>\d{5})--Z(?P<z>\d{5})--T(?P<t>\d{5})--(?P<channel>[^/]+?)" + _IMAGE,
    # Acquifer IM04 names its files -A001--PO01--LO001--CO6--SL001--PX32500--PW0080--IN0020--TM244--X014580
    # --Y011262--Z209501--T1374031802--WE00001.tif, IM03
    # WE00020---B005--PO01--...--T1375574652.tif. LO counts time points and SL planes.
    "acquifer": _DIRS
    + r"(?:WE\d+--)?-(?P<row>[A-P])(?P<col>\d{3})--PO(?P<site>\d+)--LO(?P<t>\d+)--(?P<channel>CO\d+)--SL(?P<z>\d+)"
    + r"--PX\d+--PW\d+--IN\d+--TM\d+--X-?\d+--Y-?\d+--Z-?\d+--T\d+(?:--WE\d+)?"
    + _IMAGE,
    # <plate>/<well>_s<site>_<channel>[_z<z>][_t<t>].tif
    "generic": _DIRS + _WELL + r"_s(?P<site>\d+)_" + _CHANNEL + _Z_T + _IMAGE,
    # <plate>_<well>_s<site>_<channel>.tif, or with dashes and without the s
    "generic_flat": _DIRS + r"(?P<plate>[^/]+?)[_-]" + _WELL + r"[_-][sf]?(?P<site>\d+)[_-]" + _CHANNEL + _Z_T + _IMAGE,
    # <well>_<channel>.tif: one field per well
    "generic_one_site": _DIRS
    + r"(?:(?P<plate>[^/]+?)[_-])?"
    + _WELL
    + r"[_-](?P<channel>[\pL\pN]+(?:[ .+-][\pL\pN]+)*?)"
    + _IMAGE,
}

# General patterns also match wrong names, so a specific pattern needs fewer files to be preferred.
GENERIC = {"generic": 0.5, "generic_flat": 0.5, "generic_one_site": 0.25}
