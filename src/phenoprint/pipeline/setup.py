"""Look at a folder of images and propose a configuration for it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from phenoprint.errors import PlateMapError, UsageError
from phenoprint.exchange import read_map_file
from phenoprint.images import ForeignFiles, LayoutCandidate, detect_layout
from phenoprint.pipeline.config import parse_config
from phenoprint.pipeline.events import OnEvent, count_files, ignore
from phenoprint.pipeline.ingest import Ingested, ingest
from phenoprint.pipeline.platemaps import check_plate_map, count_kinds
from phenoprint.pipeline.sections import PlateMapSection
from phenoprint.plates import (
    MAP_ENDINGS,
    draw_plate,
    is_barcode_platemap,
    parse_barcode_platemap,
    plate_map_of,
    read_parts,
)
from phenoprint.store import write_bytes

__all__ = ["Proposal", "find_plate_maps", "plate_drawings", "propose", "write_proposal"]


@dataclass(frozen=True)
class Proposal:
    """What was found in a folder, and a configuration for it.

    Attributes
    ----------
    text
        A commented ``screen.toml``.
    layout
        What was detected.
    ingested
        The tables of the ingest with this configuration.
    foreign
        Image files of formats that cannot be read.
    unread
        Files that look like plate maps and cannot be read, with the reason.
    obstacle
        Why a run would refuse the plate map; None if it would not.
    """

    text: str
    layout: LayoutCandidate
    ingested: Ingested
    foreign: tuple[ForeignFiles, ...] = ()
    unread: tuple[str, ...] = ()
    obstacle: str | None = None


def find_plate_maps(root: Path) -> tuple[list[Path], Path | None, list[str]]:
    """Find the plate maps in a folder and one level below.

    Returns
    -------
    list, Path or None, list
        The plate maps; a ``barcode_platemap.csv`` if there is one; and the files that look like plate maps and cannot
        be read, with the reason. Other tables are ignored.
    """
    found: list[Path] = []
    unread: list[str] = []
    barcode = None
    candidates = sorted(path for path in [*root.glob("*"), *root.glob("*/*")] if path.suffix.lower() in MAP_ENDINGS)
    for path in candidates:
        if not path.is_file() or path.stat().st_size > 20_000_000 or "load_data" in path.name:
            continue
        if path.name.startswith("~$"):  # a spreadsheet program's lock
            continue
        is_map = path.suffix.lower() in {".xlsx", ".ods", ".xls"}
        try:
            content = read_map_file(path)
            if path.stem == "barcode_platemap" and is_barcode_platemap(content, source=str(path)):
                parse_barcode_platemap(content, source=str(path))
                barcode = path
                continue
            parts = read_parts(content, source=str(path))
            is_map = all(part.is_plate_map for part in parts)
            plate_map_of(parts)
            found.append(path)
        except PlateMapError as error:
            unread += [str(error)] if is_map else []
    if barcode is not None:  # the maps that it names are read through it
        found = [path for path in found if path.parent.name != "platemap"]
    return found, barcode, unread


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _clean(name: str) -> str:
    """Turn a folder's name into one that a screen may have."""
    return re.sub(r"[^\w .-]+", "_", name).strip() or "screen"


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _literal(text: str) -> str:
    """Quote a regular expression for TOML without escapes, if possible."""
    return f"'{text}'" if "'" not in text and text.isprintable() else _quote(text)


def propose(
    root: Path,
    *,
    name: str | None = None,
    plate_map: Path | None = None,
    pattern: str | None = None,
    sheet: str | None = None,
    on_event: OnEvent = ignore,
) -> Proposal:
    """Detect the layout of a folder and write a configuration for it.

    Parameters
    ----------
    root
        Folder of images.
    name
        Name of the screen; default: the folder's.
    plate_map
        A plate map; default: those found in the folder.
    pattern
        Regular expression of the file names; default: the built-in pattern that fits.
    sheet
        The sheet of a spreadsheet; default: those that are plate maps.
    on_event
        Receives progress events while files are hashed.

    Raises
    ------
    UsageError
        If the folder does not exist or the pattern cannot be used.
    ImageError
        If no file name is understood. The message gives examples and lists other files.
    """
    if not root.is_dir():
        raise UsageError(f"{root} is not a folder: give the folder that holds the images")
    root = root.resolve()
    detected = detect_layout(root, pattern=pattern)
    layout = detected.best
    maps, barcode, unread = ([plate_map.resolve()], None, []) if plate_map is not None else find_plate_maps(root)

    def write(reference: str) -> str:
        return _write(root, _clean(name or root.name), layout, maps, barcode, sheet=sheet, reference=reference)

    text, obstacle = write("negcon"), None
    config = parse_config(text, source="the proposed configuration")
    hashed = count_files(on_event, step="hash", title="Hash images")
    try:
        ingested = ingest(config, root, on_file=hashed)
    except PlateMapError as error:  # it can be corrected in the configuration
        obstacle = str(error)
        ingested = ingest(config.model_copy(update={"plate_map": PlateMapSection()}), root, on_file=hashed)
    else:
        obstacle = _obstacle(ingested)
        if obstacle is None and not count_kinds(ingested.tables["well"])["negcon"]:
            text = write("all")
    return Proposal(text, layout, ingested, detected.foreign, tuple(unread), obstacle)


def _obstacle(ingested: Ingested) -> str | None:
    """Return why a run would refuse the plate map; None if it would not."""
    try:
        check_plate_map(ingested.tables["well"], ingested.tables["plate_map_reading"], reference="all")
    except PlateMapError as error:
        return str(error)
    return None


def _write(
    root: Path,
    name: str,
    layout: LayoutCandidate,
    maps: list[Path],
    barcode: Path | None,
    *,
    sheet: str | None,
    reference: str,
) -> str:
    """Write the commented configuration."""
    channels = ", ".join(f"{_quote(channel)} = {_quote(channel)}" for channel in layout.channels)
    source = (
        'reader = "load_data"   # the load_data.csv below the folder; name one with load_data = "..."'
        if layout.reader == "load_data"
        else f'reader = "pattern"\npattern = {_literal(layout.options["pattern"])}   # or a regular expression'
    )
    lines = [
        "# What to run and how. Lines with a # are optional; the values shown are the defaults.",
        "",
        "[screen]",
        f"name = {_quote(name)}",
        "",
        "[images]",
        f"root = {_quote(str(root))}",
        source,
        "# The stain of each channel: name in the file = name in the tables. Cell Painting: DNA, ER, RNA, AGP, Mito.",
        f"channels = {{ {channels} }}",
        "# pixel_size_um = 0.65      # size of a pixel; sizes in µm need it",
        *(
            ['# page = 0                 # which page of a file is read, or "max" for the maximum over all pages']
            if layout.reader == "pattern"
            else []
        ),
        "",
        "[plate_map]",
        f"files = [{', '.join(_quote(_relative(path, root)) for path in maps)}]"
        + ("" if maps or barcode else "   # none was found: well, pert_type, compound, concentration, unit, moa"),
        *([f"barcode_platemap = {_quote(_relative(barcode, root))}"] if barcode else []),
        f"sheet = {_quote(sheet)}"
        if sheet
        else '# sheet = "Layout"         # of a spreadsheet with several plate maps',
        '# columns = { compound = "Content" }    # columns whose names are not recognised',
        '# pert_types = { "Medium" = "empty" }   # what a word or compound means: trt, negcon, poscon, empty',
        "# format = 384             # wells per plate; taken from the wells if not given",
        "",
        "[illumination]",
        '# method = "cellprofiler"  # or "basic", "none"',
        "",
        "[segmentation]",
        "# nucleus_diameter_um = 15 # estimated from the plate if not given",
        '# parameters = { nucleus_channel = "DNA", cell_channels = ["AGP"] }',
        "",
        "[features]",
        '# preset = "cell-painting-full"',
        '# families = [{ family = "neighbors", distance = 5 }]   # beyond the preset, or in place of one of its own',
        "",
        "[profiles]",
        '# recipe = "phenoprint"    # or another recipe by name, or steps of your own: [[profiles.recipe]]',
        '# reference = "negcon"     # or "all", for plates without negative controls'
        if reference == "negcon"
        else 'reference = "all"          # the plate map names no negative control; "negcon" once it does',
        "# min_reference = 3        # controls a plate needs; with fewer, all its wells serve as the reference",
        "",
    ]
    return "\n".join(lines)


def plate_drawings(ingested: Ingested) -> list[str]:
    """Draw each plate as text: the wells with images, and the plate map beside them."""
    wells = ingested.tables["well"]
    formats = dict(ingested.tables["plate"].select("Metadata_Plate", "plate_format").iter_rows())
    return [
        draw_plate(rows, plate=str(plate), plate_format=formats[str(plate)], problems=ingested.problems)
        for (plate,), rows in wells.sort("Metadata_Plate").group_by("Metadata_Plate", maintain_order=True)
    ]


def write_proposal(proposal: Proposal, folder: Path, *, force: bool = False) -> Path:
    """Write ``screen.toml`` into a folder.

    Raises
    ------
    UsageError
        If the file exists and ``force`` is not set.
    """
    path = folder / "screen.toml"
    if path.exists() and not force:
        raise UsageError(f"{path} exists: edit it, or overwrite it with --force")
    write_bytes(path, proposal.text.encode())
    return path
