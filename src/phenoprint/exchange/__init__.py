"""Other software's tables in and out: CellProfiler, CytoTable, pycytominer, Cell Painting Gallery, AnnData, GCT."""

from phenoprint.exchange.annotation.exclusion_lists import read_exclusion_list
from phenoprint.exchange.annotation.plate_maps import read_map_file
from phenoprint.exchange.exports.files import gallery_name, write_profiles
from phenoprint.exchange.exports.frames import to_anndata, to_pandas_profiles
from phenoprint.exchange.exports.screen import export_profiles
from phenoprint.exchange.importing import ImportSummary, import_profiles
from phenoprint.exchange.reading import Imported, load_profiles, read_profiles
from phenoprint.exchange.sources.cellprofiler import read_cellprofiler

__all__ = [
    "ImportSummary",
    "Imported",
    "export_profiles",
    "gallery_name",
    "import_profiles",
    "load_profiles",
    "read_cellprofiler",
    "read_exclusion_list",
    "read_map_file",
    "read_profiles",
    "to_anndata",
    "to_pandas_profiles",
    "write_profiles",
]
