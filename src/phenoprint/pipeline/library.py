"""Profiles of treatments that can be searched: those of a screen, or of a file of other software."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.errors import SchemaError, first_few
from phenoprint.pipeline.config import load_config, parse_config
from phenoprint.pipeline.context import Context
from phenoprint.pipeline.explained import describe_treatments, explained
from phenoprint.pipeline.imported import given_tables
from phenoprint.pipeline.phenotypes import treatment_profiles
from phenoprint.pipeline.wellprofiles import WellProfiles
from phenoprint.store import open as open_screen
from phenoprint.store import read_run
from phenoprint.tables import COMPOUND, PERT_TYPE, PERTURBATION, PLATE, WELL, feature_columns

if TYPE_CHECKING:
    from phenoprint.store import Screen

__all__ = ["Library", "read_library", "treatments_before_correction", "treatments_of"]

_NAMES = (
    PERTURBATION,
    COMPOUND,
    "Metadata_JCP2022",
    "Metadata_broad_sample",
    "Metadata_pert_iname",
    "Metadata_gene",
    "Metadata_Symbol",
)
_CONTROL = ("Metadata_pert_type", "Metadata_control_type")
# Median of a feature over negative controls beyond which profiles are not relative to these, in spreads.
_OFF_CENTRE = 0.5
_BLOCK_ROWS = 20_000
_LIMIT = 20.0  # spreads; as in the recipes


@dataclass(frozen=True)
class Library:
    """Profiles to be searched.

    Attributes
    ----------
    blocks
        Frames with the same columns, each with ``Metadata_perturbation`` and features.
    treatments
        Annotation, one row per treatment that is known.
    notes
        What a user should know of them, a sentence each.
    """

    blocks: Sequence[pl.DataFrame]
    treatments: pl.DataFrame
    notes: tuple[str, ...] = ()


def _context_of(screen: Screen) -> Context:
    """Return the context of the last run of a screen, or of its configuration where it was imported and not run."""
    record = read_run(screen.path)
    if record is None:
        config = load_config(screen.path / "screen.toml")
    else:
        config = parse_config(record.configuration, source="the configuration of the last run")
    channels = () if record is None else tuple(record.channels)
    return Context(screen.path, config, screen.path, channels, given=given_tables(screen))


def treatments_of(screen: Screen) -> Library:
    """Return the consensus profiles of a screen (level 5)."""
    context = _context_of(screen)
    return Library([treatment_profiles(context)], describe_treatments(context), _reference_notes(screen))


def treatments_before_correction(screen: Screen, *, selected: bool = True) -> Library:
    """Return the median profile of each treatment by normalized values, which screens can be compared by.

    Whitening and batch correction mix features, in each screen otherwise. A screen of imported treatments has no other
    profiles than these. Values are clipped at 20 spreads, so that no feature of one screen outweighs all others.

    Parameters
    ----------
    screen
        The screen.
    selected
        Whether only features that selection kept are returned, where there is a choice.
    """
    context = _context_of(screen)
    if not context.holds("profile_step") and not context.holds("profile_selected"):
        return treatments_of(screen)
    given = explained(context)
    if not selected and given.table == "profile_normalized":
        given = WellProfiles.of(context, "profile_normalized")
    known = given.wells.filter(pl.col(PERTURBATION).is_not_null())
    values = pl.col(*given.features).median().clip(-_LIMIT, _LIMIT)
    parts = [
        block.group_by(PERTURBATION, maintain_order=True).agg(pl.col(PERT_TYPE, COMPOUND).first(), values)
        for block in given.treatments(known)
    ]
    return Library([pl.concat(parts)] if parts else [], describe_treatments(context), _reference_notes(screen))


def read_library(path: Path) -> Library:
    """Read the profiles of a screen folder, or of a file.

    Parameters
    ----------
    path
        A screen folder; or a Parquet, CSV, GCT or h5ad file of profiles, normalized or not. Several rows of one
        treatment are replaced by their median. A Parquet file with one row per treatment is read a block at a time.

    Raises
    ------
    SchemaError
        If no column names the treatments, or profiles of wells are not normalized and have no negative controls.
    """
    if path.is_dir() and (path / "screen.toml").exists():
        return treatments_before_correction(open_screen(path), selected=False)
    if path.suffix == ".parquet":
        return _parquet_library(path)
    from phenoprint.exchange import read_profiles

    return _of_frame(read_profiles(path), str(path))


def _reference_notes(screen: Screen) -> tuple[str, ...]:
    status = screen.table("feature_status").filter(pl.col("status") == "reference_all").collect()
    if status.is_empty():
        return ()
    return (f"profiles of {screen.path} are relative to all wells of some plates, for lack of negative controls",)


class _Blocks(Sequence[pl.DataFrame]):
    """A Parquet file as a sequence of frames that are read when they are asked for."""

    def __init__(self, path: Path, name: str, n: int) -> None:
        self._path, self._name, self._n = path, name, n

    def __len__(self) -> int:
        return (self._n + _BLOCK_ROWS - 1) // _BLOCK_ROWS

    def __getitem__(self, number: int) -> pl.DataFrame:  # type: ignore[override]
        if number >= len(self):
            raise IndexError(number)
        frame = pl.scan_parquet(self._path).slice(number * _BLOCK_ROWS, _BLOCK_ROWS).collect()
        return _named(frame, self._name)


def _parquet_library(path: Path) -> Library:
    lazy = pl.scan_parquet(path)
    columns = lazy.collect_schema().names()
    name = _name_column(columns, str(path))
    ids = lazy.select(pl.col(name).cast(pl.String)).collect()[name]
    if ids.drop_nulls().is_duplicated().any():
        from phenoprint.exchange import read_profiles

        return _of_frame(read_profiles(path), str(path))
    about = [column for column in columns if column.startswith("Metadata_")]
    annotation = _annotation(lazy.select(about).collect(), name)
    return Library(_Blocks(path, name, len(ids)), annotation, (_unknown_reference(path),))


def _unknown_reference(path: Path | str) -> str:
    return f"whether the profiles of {path} are relative to negative controls cannot be seen: they have none"


def _of_frame(frame: pl.DataFrame, source: str) -> Library:
    """Bring profiles of wells or treatments to one row per treatment, relative to negative controls."""
    name = _name_column(frame.columns, source)
    features = feature_columns(frame)
    role = next((column for column in _CONTROL if column in frame.columns), None)
    is_control = pl.lit(value=False) if role is None else (pl.col(role) == "negcon").fill_null(value=False)
    controls = frame.filter(is_control)
    notes: list[str] = []
    if controls.is_empty():
        notes.append(_unknown_reference(source))
    elif _off_centre(controls, features):
        if not {PLATE, WELL} <= set(frame.columns):
            raise SchemaError(
                f"the negative controls of {source} are not at 0, so that its profiles are not relative to them, and "
                "without Metadata_Plate and Metadata_Well they cannot be normalized"
            )
        from phenoprint.profiles import normalize

        frame = normalize(frame, method="mad_robust", by=[PLATE], reference=is_control)
        notes.append(f"{source} was normalized to the negative controls of each plate (median and MAD)")
    named = _named(frame, name)
    features = feature_columns(named)
    profiles = named.group_by(PERTURBATION, maintain_order=True).agg(
        pl.col(COMPOUND).first(), pl.col(features).median().clip(-_LIMIT, _LIMIT)
    )
    return Library([profiles], _annotation(frame, name), tuple(notes))


def _off_centre(controls: pl.DataFrame, features: Sequence[str]) -> bool:
    middle = np.array(controls.select(pl.col(*features).median()).row(0), dtype=np.float64)
    known = np.abs(middle[np.isfinite(middle)])
    return bool(len(known) and np.median(known) > _OFF_CENTRE)


def _name_column(columns: Sequence[str], source: str) -> str:
    for name in _NAMES:
        if name in columns:
            return name
    about = [column for column in columns if column.startswith("Metadata_")]
    raise SchemaError(
        f"{source} has no column that names treatments; expected one of {', '.join(_NAMES)}; found {first_few(about)}"
    )


def _named(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    compound = pl.col(COMPOUND if COMPOUND in frame.columns else name).cast(pl.String).alias(COMPOUND)
    return frame.with_columns(pl.col(name).cast(pl.String).alias(PERTURBATION), compound)


def _annotation(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    about = _named(frame, name)
    return about.filter(pl.col(PERTURBATION).is_not_null()).unique(PERTURBATION, keep="first", maintain_order=True)
