"""Find the screen folder and the configuration of a run, before anything is written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from phenoprint.errors import ConfigError
from phenoprint.pipeline.config import ScreenConfig, load_config, parse_config, read_config
from phenoprint.pipeline.imported import import_config, imported_tables, refuse_damaged
from phenoprint.store import Screen, Scrutiny, create, is_screen, write_bytes

__all__ = ["Prepared", "prepare", "read_base"]


@dataclass(frozen=True)
class Prepared:
    """A screen folder and its configuration.

    Attributes
    ----------
    screen
        The screen.
    config, text
        The configuration and its text.
    base
        Folder that relative paths of the configuration refer to.
    is_copy
        Whether the text has to be copied into the screen.
    """

    screen: Screen
    config: ScreenConfig
    text: str
    base: Path
    is_copy: bool

    def refuse_mixture(self) -> None:
        """Refuse to run images in a folder of imported tables, which the run would replace.

        Raises
        ------
        ConfigError
            If the folder holds imported tables and the configuration has images.
        """
        imported = sorted(imported_tables(self.screen))
        if imported and self.config.images is not None:
            raise ConfigError(
                f"{self.screen.path} holds imported tables ({', '.join(imported)}), and the configuration has "
                "[images]: a run would replace what was imported. Give the images a folder of their own "
                "('phenoprint run CONFIG -o ANOTHER_FOLDER'), or remove [images] to continue from the imported tables"
            )

    def settle(self) -> None:
        """Copy the configuration into the screen, which the caller has locked."""
        if self.is_copy:
            create(self.screen.path, config_text=self.text)
            write_bytes(_base_record(self.screen.path), json.dumps({"base": str(self.base)}).encode())


def prepare(path: Path, output: Path | None = None) -> Prepared:
    """Make or find the screen folder of a configuration.

    Parameters
    ----------
    path
        A ``screen.toml`` or any other configuration file, or a screen folder that holds one.
    output
        The screen folder; default: a folder of the screen's name below the current directory.

    Raises
    ------
    ConfigError
        If the configuration is absent or wrong, or the folder holds another screen.
    DataError
        If imported tables were damaged.
    """
    if not path.exists():
        raise ConfigError(f"{path} does not exist: give a screen.toml, or the folder of a screen")
    is_own = path.is_dir() or path.name == "screen.toml"
    config_path = path / "screen.toml" if path.is_dir() else path
    if path.is_dir() and is_screen(path) and not (config_path.is_file() and config_path.stat().st_size):
        return _prepare_import(Screen(path))
    text = read_config(config_path)
    config = parse_config(text, source=str(config_path))
    folder = output or (config_path.parent if is_own else Path.cwd() / config.screen.name)
    base = read_base(config_path.parent) if is_own else config_path.resolve().parent
    own = folder / "screen.toml"
    is_copy = own.resolve() != config_path.resolve()
    if is_copy and own.is_file() and own.stat().st_size:
        earlier = load_config(own).screen.name
        if earlier != config.screen.name:
            raise ConfigError(
                f"{folder} holds the screen {earlier!r}, not {config.screen.name!r}: choose another --output"
            )
    return Prepared(screen=create(folder), config=config, text=text, base=base, is_copy=is_copy)


def _prepare_import(screen: Screen) -> Prepared:
    """Propose the configuration of a folder of imported tables that has none."""
    refuse_damaged(screen, Scrutiny.TIME)
    text = import_config(screen)
    config = parse_config(text, source="the proposed configuration")
    return Prepared(screen=screen, config=config, text=text, base=screen.path.resolve(), is_copy=True)


def _base_record(folder: Path) -> Path:
    return folder / "receipts" / "configuration.json"


def read_base(folder: Path) -> Path:
    """Return the folder that relative paths of the configuration of a screen refer to.

    Raises
    ------
    ConfigError
        If its record was damaged.
    """
    record = _base_record(folder)
    if not record.is_file():
        return folder.resolve()
    try:
        return Path(json.loads(record.read_bytes())["base"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{record} was damaged ({error}); it holds the folder that relative paths of screen.toml refer to. Run the "
            f"original configuration again ('phenoprint run CONFIG -o {folder}'), or delete this file if all paths "
            "in screen.toml are absolute or relative to the screen folder"
        ) from error
