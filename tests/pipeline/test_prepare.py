"""The folder of a run before it is touched: mixtures are refused, damaged records are named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from phenoprint.errors import ConfigError, DataError, ScreenError
from phenoprint.exchange.importing import import_profiles
from phenoprint.pipeline import run_screen, screen_state, verify_screen
from phenoprint.store import incomplete
from phenoprint.store import open as open_screen

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    """Well profiles of another tool."""
    wells = [f"{row}{column:02d}" for row in "ABCD" for column in range(1, 7)]
    frame = pl.DataFrame({"Metadata_Plate": "P1", "Metadata_Well": wells})
    frame = frame.with_columns(pl.Series("Metadata_compound", [f"c{i % 6}" for i in range(24)]))
    frame = frame.with_columns(
        pl.Series(f"Cells_Texture_F{k}", [float((i * 7 + k) % 24) for i in range(24)]) for k in range(9)
    )
    path = tmp_path / "P1_augmented.csv"
    frame.write_csv(path)
    return path


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Time and content of every file of a folder but its locks."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("screen.lock")]
    return {path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_an_import_into_a_screen_of_images_is_refused_and_touches_nothing(
    own_screen: Path, profiles: Path, call: Call
) -> None:
    before = everything(own_screen)
    with pytest.raises(ScreenError, match=r"screen of images.*folder of their own.*-o"):
        import_profiles(profiles, own_screen)
    code, _, err = call("import", profiles, "-o", own_screen)
    assert (code, "-o ANOTHER_FOLDER" in err) == (1, True)
    (own_screen / "screen.toml").write_text("")
    with pytest.raises(ScreenError, match="table of images"):
        import_profiles(profiles, own_screen)
    (own_screen / "screen.toml").write_bytes(before["screen.toml"][1])
    after = everything(own_screen)
    assert {name: content for name, (_, content) in after.items()} == {n: c for n, (_, c) in before.items()}


def test_an_import_beside_a_configuration_of_images_is_refused_before_its_first_run(
    tmp_path: Path, profiles: Path
) -> None:
    folder = tmp_path / "screen"
    folder.mkdir()
    (folder / "screen.toml").write_text('[screen]\nname = "s"\n[images]\nroot = "."\n')
    with pytest.raises(ScreenError, match="has \\[images\\]"):
        import_profiles(profiles, folder)
    assert [path.name for path in folder.iterdir()] == ["screen.toml"]


def test_a_run_of_images_over_imported_tables_is_refused_and_touches_nothing(
    tiny_images: object, tmp_path: Path, profiles: Path
) -> None:
    folder = import_profiles(profiles, tmp_path / "screen").screen.path
    before = everything(folder)
    with pytest.raises(ConfigError, match=r"imported tables \(profile_well\).*-o ANOTHER_FOLDER"):
        run_screen(tiny_images.config, output=folder, workers=1)  # type: ignore[attr-defined]
    assert everything(folder) == before
    own = folder / "screen.toml"
    own.write_text('[screen]\nname = "s"\n[images]\nroot = "."\n')
    before = everything(folder)
    with pytest.raises(ConfigError, match="remove \\[images\\]"):
        run_screen(folder, workers=1)
    assert everything(folder) == before


def test_imported_tables_are_verified_too(tmp_path: Path, profiles: Path) -> None:
    screen = import_profiles(profiles, tmp_path / "screen").screen
    with pytest.raises(ConfigError, match="was never run"):
        verify_screen(screen)
    assert incomplete(screen.path) is None
    run_screen(screen.path, workers=1)
    assert verify_screen(screen).holds
    assert screen_state(screen).is_whole
    plate_map = profiles.with_name("map.csv")
    plate_map.write_text("well,compound\n" + "".join(f"A0{column},other\n" for column in range(1, 7)))
    import_profiles(profiles, screen, plate_map=plate_map)
    state = screen_state(screen)
    assert state.changed == ["imported tables or their annotation"]
    assert "recipe" in set(state.to_run["step"])
    assert state.is_whole


@pytest.mark.parametrize("table", ["profile_well", "well"])
def test_a_damaged_imported_table_is_to_be_imported_again(tmp_path: Path, profiles: Path, table: str) -> None:
    screen = import_profiles(profiles, tmp_path / "screen").screen
    path = next((screen.path / "tables" / table).rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-3] + b"abc")
    with pytest.raises(DataError, match=rf"{table}\.parquet does not hold what was written.*delete it and import"):
        run_screen(screen.path, workers=1)
    path.unlink()
    import_profiles(profiles, screen)
    assert not run_screen(screen.path, workers=1).is_partial


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"base": 3}', b"\xff"])
def test_a_damaged_record_of_the_configuration_is_named(own_screen: Path, content: bytes, call: Call) -> None:
    record = own_screen / "receipts" / "configuration.json"
    base = json.loads(record.read_text())["base"]
    record.write_bytes(content)
    code, _, err = call("run", own_screen, "-j", 1)
    assert (code, "configuration.json" in err, "Traceback" in err) == (2, True, False)
    assert call("status", own_screen)[0] == 0
    code, out, _ = call("verify", own_screen)
    assert code == 1
    assert "images could not be checked" in out
    assert "configuration.json was damaged" in out
    record.write_text(json.dumps({"base": base}))
    assert verify_screen(open_screen(own_screen)).holds


def test_excluded_wells_are_a_change_by_the_user_and_damaged_ones_are_not_read(own_screen: Path, call: Call) -> None:
    assert call("exclude", own_screen, "SIM-P01", "A01", "--reason", "dust")[0] == 0
    state = screen_state(open_screen(own_screen))
    assert state.changed == ["exclusions"]
    assert "aggregate" in set(state.to_run["step"])
    assert state.is_whole
    assert verify_screen(open_screen(own_screen)).holds
    receipt = own_screen / "receipts" / "table" / "+screen" / "exclusion.json"
    receipt.unlink()  # as a command leaves it that is killed
    assert "no receipt" in str(verify_screen(open_screen(own_screen)).damaged.rows())
    run_screen(own_screen, workers=1)
    assert verify_screen(open_screen(own_screen)).holds
    path = next((own_screen / "tables" / "exclusion").rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-3] + b"abc")
    with pytest.raises(DataError, match=r"exclusion\.parquet does not hold.*delete it and enter the exclusions again"):
        run_screen(own_screen, workers=1)
