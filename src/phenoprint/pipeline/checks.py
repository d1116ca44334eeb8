"""Check a configuration against the images and features of its screen, before any pixel is read."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from phenoprint.analysis import DEFAULT_READOUTS
from phenoprint.errors import ConfigError, PhenoprintError, UnknownNameError
from phenoprint.pipeline.config import ScreenConfig
from phenoprint.pipeline.recipe import recipe_of

__all__ = ["check_against_screen"]


def check_against_screen(config: ScreenConfig, channels: tuple[str, ...] | None, features: pl.DataFrame) -> None:
    """Raise for names in a configuration that do not exist: channels, methods, options, columns.

    Parameters
    ----------
    config
        The configuration.
    channels
        The stains of the images; None without images.
    features
        The feature dictionary.

    Raises
    ------
    ConfigError
        If a name does not exist. The message names its section and the closest known name.
    """
    checks: tuple[tuple[str, Callable[[], None]], ...] = (
        ("segmentation", lambda: None if channels is None else _check_segmentation(config, channels)),
        ("cell_quality", lambda: _check_cell_rules(config, features)),
        ("profiles", lambda: _check_profiles(config)),
        ("profiles.readouts", lambda: _check_readouts(config, features)),
        ("doses.features", lambda: _check_curves(config, features)),
    )
    for section, check in checks:
        try:
            check()
        except ConfigError:
            raise
        except PhenoprintError as error:
            raise ConfigError(f"[{section}] {error}") from error


def _check_segmentation(config: ScreenConfig, channels: tuple[str, ...]) -> None:
    from phenoprint.segmentation import SEGMENTERS, cell_channels, nucleus_channel

    section = config.segmentation
    if "nucleus_channel" not in SEGMENTERS.parameters(section.segmenter):
        return
    wanted = section.parameters.get("nucleus_channel")
    try:
        nucleus = nucleus_channel(channels, wanted)
    except UnknownNameError:
        raise
    except PhenoprintError as error:
        raise ConfigError(
            f"no channel is known to show nuclei; the images show {', '.join(channels)}. Name the nuclear stain "
            f'under [images], such as channels = {{ {channels[0]} = "DNA" }}, or name it under [segmentation]: '
            f'parameters = {{ nucleus_channel = "{channels[0]}" }}'
        ) from error
    cell_channels(channels, nucleus=nucleus, wanted=section.parameters.get("cell_channels"))


def _check_cell_rules(config: ScreenConfig, features: pl.DataFrame) -> None:
    from phenoprint.pipeline.steps.cells import cell_rules

    cell_rules(config.cell_quality, _columns(features))


def _check_profiles(config: ScreenConfig) -> None:
    from phenoprint.tables import STATISTICS

    section = config.profiles
    for name in (section.statistic, section.consensus):
        if name not in STATISTICS:
            raise UnknownNameError("statistic", name, STATISTICS)
    recipe_of(section)


def _columns(features: pl.DataFrame) -> list[str]:
    return features["feature"].to_list()


def _check_readouts(config: ScreenConfig, features: pl.DataFrame) -> None:
    frame = pl.DataFrame(schema=dict.fromkeys(_columns(features), pl.Float32))
    for name, text in config.profiles.readouts.items():
        if name in DEFAULT_READOUTS:
            raise ConfigError(f"profiles.readouts.{name}: every well has a readout of this name; choose another name")
        try:
            frame.select(pl.sql_expr(text).cast(pl.Float64))
        except pl.exceptions.ColumnNotFoundError as error:
            missing = str(error).split('"')[1] if '"' in str(error) else str(error)
            hint = UnknownNameError("feature", missing, _columns(features))
            raise ConfigError(f"profiles.readouts.{name} = {text!r}: {str(hint).split(' Known:')[0]}") from error
        except (pl.exceptions.PolarsError, ValueError) as error:
            raise ConfigError(
                f"profiles.readouts.{name} = {text!r} is not an expression over features: {error}"
            ) from error


def _check_curves(config: ScreenConfig, features: pl.DataFrame) -> None:
    known = _columns(features)
    for name in config.doses.features:
        if name not in known:
            raise UnknownNameError("feature", name, known)
