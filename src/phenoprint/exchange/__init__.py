"""Other software's tables in and out: CellProfiler, CytoTable, pycytominer, Cell Painting Gallery, AnnData, GCT.

Each part imports only from those before it:

``compressed``, ``names``, ``levels``, ``findings``, ``ledgers``
    names of columns and files, notes and counts
``sources``
    what can be imported at a path, and its rows as they are on disk
``cleaning``
    rows with the names, types and keys of a screen
``annotation``
    plate maps, tables of treatments and lists of exclusions
``writers``
    rows and the tables that accompany them, written into a screen
``exports``
    profiles written as the files that other tools read
``reading``, ``importing``
    the two ways in: into a frame, into a screen
"""

from phenoprint.exchange.annotation.exclusion_lists import read_exclusion_list
from phenoprint.exchange.annotation.plate_maps import read_barcode_platemap, read_map_file
from phenoprint.exchange.annotation.treatments import read_treatments
from phenoprint.exchange.exports.anndata import to_anndata
from phenoprint.exchange.exports.files import write_profiles
from phenoprint.exchange.exports.screen import export_profiles
from phenoprint.exchange.importing import ImportSummary, import_profiles
from phenoprint.exchange.levels import gallery_name
from phenoprint.exchange.reading import Imported, load_profiles, read_profiles

__all__ = [
    "ImportSummary",
    "Imported",
    "export_profiles",
    "gallery_name",
    "import_profiles",
    "load_profiles",
    "read_barcode_platemap",
    "read_exclusion_list",
    "read_map_file",
    "read_profiles",
    "read_treatments",
    "to_anndata",
    "write_profiles",
]
