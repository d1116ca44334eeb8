"""The screen folder: schemas, Parquet, catalog, ledger, receipts, import and export."""

from phenoprint.store._atomic import remove_file, remove_folder, temporary_path, write_bytes
from phenoprint.store._merge import StoredWell
from phenoprint.store._query import FirstRows
from phenoprint.store.catalog import DamagedTableWarning
from phenoprint.store.cellprofiler import read_cellprofiler
from phenoprint.store.damage import damaged_tables
from phenoprint.store.exclusion_files import read_exclusion_list
from phenoprint.store.exclusions import PLACE, ExclusionChange, change_exclusions, describe_place, exclude
from phenoprint.store.export_frames import to_anndata, to_pandas_profiles
from phenoprint.store.export_screen import export_profiles
from phenoprint.store.exports import gallery_name, write_profiles
from phenoprint.store.import_platemaps import read_map_file
from phenoprint.store.import_screen import ImportSummary, import_profiles
from phenoprint.store.imports import Imported, load_profiles, read_profiles
from phenoprint.store.layout import decode_name, encode_name
from phenoprint.store.ledger import check_balance, concat_ledgers, ledger_rows, strict_join
from phenoprint.store.lock import LockHolder
from phenoprint.store.outputs import Checked, Output, Scrutiny, check_outputs, record_outputs
from phenoprint.store.parquet import read_table, write_parquet
from phenoprint.store.parts import compact, drop_wells, pending_wells, stored_wells, write_part
from phenoprint.store.receipts import (
    TABLE,
    Receipt,
    hash_key,
    load_receipts,
    read_receipt,
    receipt_path,
    receipt_steps,
    record_table,
    remove_receipt,
    write_receipt,
)
from phenoprint.store.run_record import RunRecord, incomplete, read_run, write_run
from phenoprint.store.schemas import (
    Column,
    Table,
    conform,
    empty,
    get_table,
    nan_to_null,
    table_names,
    validate,
)
from phenoprint.store.screen import Screen, ScreenStatus, create, is_screen, open  # noqa: A004

__all__ = [
    "PLACE",
    "TABLE",
    "Checked",
    "Column",
    "DamagedTableWarning",
    "ExclusionChange",
    "FirstRows",
    "ImportSummary",
    "Imported",
    "LockHolder",
    "Output",
    "Receipt",
    "RunRecord",
    "Screen",
    "ScreenStatus",
    "Scrutiny",
    "StoredWell",
    "Table",
    "change_exclusions",
    "check_balance",
    "check_outputs",
    "compact",
    "concat_ledgers",
    "conform",
    "create",
    "damaged_tables",
    "decode_name",
    "describe_place",
    "drop_wells",
    "empty",
    "encode_name",
    "exclude",
    "export_profiles",
    "gallery_name",
    "get_table",
    "hash_key",
    "import_profiles",
    "incomplete",
    "is_screen",
    "ledger_rows",
    "load_profiles",
    "load_receipts",
    "nan_to_null",
    "open",
    "pending_wells",
    "read_cellprofiler",
    "read_exclusion_list",
    "read_map_file",
    "read_profiles",
    "read_receipt",
    "read_run",
    "read_table",
    "receipt_path",
    "receipt_steps",
    "record_outputs",
    "record_table",
    "remove_file",
    "remove_folder",
    "remove_receipt",
    "stored_wells",
    "strict_join",
    "table_names",
    "temporary_path",
    "to_anndata",
    "to_pandas_profiles",
    "validate",
    "write_bytes",
    "write_parquet",
    "write_part",
    "write_profiles",
    "write_receipt",
    "write_run",
]
