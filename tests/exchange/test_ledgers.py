"""The ledger of an import: what goes in is what remains plus what is lost, whatever the tables hold."""

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from phenoprint.errors import SchemaError
from phenoprint.exchange import import_profiles
from phenoprint.store import check_balance

WELLS = st.sampled_from(["A01", "a2", "B03", "no_well", ""])
PLATES = st.sampled_from(["P1", "P2", "nan"])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(PLATES, WELLS, st.sampled_from(["1", "2", ""])), min_size=1, max_size=30), st.booleans())
@example([("P1", "no_well", "1")], False)
def test_every_row_is_stored_or_counted_as_lost(tmp_path_factory, places, as_cells):
    """Rows with and without usable keys, cells and wells."""
    frame = pl.DataFrame(places, schema=["Metadata_Plate", "Metadata_Well", "Metadata_Site"], orient="row")
    frame = frame.with_columns(ObjectNumber=pl.int_range(1, pl.len() + 1)) if as_cells else frame.unique(
        ["Metadata_Plate", "Metadata_Well"], maintain_order=True
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("t")
    frame.with_columns(Cells_A=pl.lit(0.5)).write_csv(folder / "t.csv")
    usable = frame.filter(
        pl.col("Metadata_Plate").is_in(["P1", "P2"]),
        pl.col("Metadata_Well").is_in(["A01", "a2", "B03"]),
        (pl.col("Metadata_Site") != "") if as_cells else pl.lit(value=True),
    )
    if usable.is_empty():
        with pytest.raises(SchemaError, match=r"nothing to import: rows without a usable key, such as"):
            import_profiles(folder / "t.csv", folder / "screen", partial=True)
        assert not (folder / "screen").exists()
        return
    summary = import_profiles(folder / "t.csv", folder / "screen", partial=True)
    check_balance(summary.ledger)
    check_balance(summary.screen.table("ledger").collect())
    entries = summary.ledger.unique(["Metadata_Plate", "Metadata_Well", "step", "unit_of_count"])
    assert entries["n_in"].sum() == frame.height
    assert entries["n_out"].sum() == usable.height == sum(summary.rows.values())
    assert summary.ledger["n_lost"].sum() == frame.height - usable.height
