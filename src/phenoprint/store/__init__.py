"""The screen folder: Parquet, catalog, ledger, receipts, locks."""

from phenoprint.store._atomic import (
    atomic_file,
    atomic_path,
    move_file,
    remove_file,
    remove_folder,
    write_bytes,
)
from phenoprint.store._catalog_file import cache_folder
from phenoprint.store._merge import StoredWell
from phenoprint.store._query import FirstRows
from phenoprint.store._status import ScreenStatus
from phenoprint.store.catalog import DamagedTableWarning
from phenoprint.store.damage import damaged_tables
from phenoprint.store.exclusions import ExclusionChange, change_exclusions, describe_place, exclude
from phenoprint.store.journal import placing, staging_folder, undo_killed_imports
from phenoprint.store.layout import (
    STEP_COLUMNS,
    encode_name,
    own_files,
    partition,
    plate_folders,
    plate_of,
    step_part,
    table_files,
    table_folder,
    tables_on_disk,
)
from phenoprint.store.ledger import check_balance, concat_ledgers, ledger_rows, strict_join
from phenoprint.store.lock import LockHolder
from phenoprint.store.opening import create, is_screen, open  # noqa: A004
from phenoprint.store.outputs import Checked, Output, Scrutiny, check_outputs, record_outputs
from phenoprint.store.parquet import read_table, write_parquet
from phenoprint.store.parts import (
    compact,
    pending_wells,
    read_part,
    stored_wells,
    unreadable_parts,
    wells_footer,
    write_part,
)
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
from phenoprint.store.screen import Screen

__all__ = [
    "STEP_COLUMNS",
    "TABLE",
    "Checked",
    "DamagedTableWarning",
    "ExclusionChange",
    "FirstRows",
    "LockHolder",
    "Output",
    "Receipt",
    "RunRecord",
    "Screen",
    "ScreenStatus",
    "Scrutiny",
    "StoredWell",
    "atomic_file",
    "atomic_path",
    "cache_folder",
    "change_exclusions",
    "check_balance",
    "check_outputs",
    "compact",
    "concat_ledgers",
    "create",
    "damaged_tables",
    "describe_place",
    "encode_name",
    "exclude",
    "hash_key",
    "incomplete",
    "is_screen",
    "ledger_rows",
    "load_receipts",
    "move_file",
    "open",
    "own_files",
    "partition",
    "pending_wells",
    "placing",
    "plate_folders",
    "plate_of",
    "read_part",
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
    "staging_folder",
    "step_part",
    "stored_wells",
    "strict_join",
    "table_files",
    "table_folder",
    "tables_on_disk",
    "undo_killed_imports",
    "unreadable_parts",
    "wells_footer",
    "write_bytes",
    "write_parquet",
    "write_part",
    "write_receipt",
    "write_run",
]
