"""The state of a screen can be asked whatever of it is damaged."""

from __future__ import annotations

from pathlib import Path

from phenoprint.pipeline import screen_state
from phenoprint.store import open as open_screen


def test_damaged_tables_are_named_and_the_rest_is_said(own_screen: Path) -> None:
    whole = screen_state(open_screen(own_screen))
    assert whole.is_whole
    assert whole.damaged.is_empty()
    for name in ("problem", "ledger", "feature_status"):
        for file in (own_screen / "tables" / name).rglob("*.parquet"):
            file.write_bytes(file.read_bytes()[:-20])
    state = screen_state(open_screen(own_screen))
    assert set(state.damaged["table"]) == {"problem", "ledger", "feature_status"}
    assert not state.is_whole
