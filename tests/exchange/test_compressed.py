"""Compressed files are recognised by their first bytes, whatever their names."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile

import pyarrow as pa
import pytest

from phenoprint.errors import PlateMapError, SchemaError
from phenoprint.exchange import load_profiles
from phenoprint.exchange.annotation.plate_maps import read_plate_map
from phenoprint.exchange.compressed import open_plain

TEXT = b"Metadata_Plate,Metadata_Well,Cells_A\nP,A01,1\nP,A02,2\n"


def zipped(content: bytes, *names: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or ("P.csv",):
            archive.writestr(name, content)
    return sink.getvalue()


PACKED = {
    "plain": TEXT,
    "gzip": gzip.compress(TEXT),
    "bzip2": bz2.compress(TEXT),
    "xz": lzma.compress(TEXT),
    "zstd": pa.compress(TEXT, codec="zstd", asbytes=True),
    "zip": zipped(TEXT, "P.csv", "__MACOSX/._P.csv"),
}


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("name", ["P.csv", "P.csv.gz", "P.csv.zst"])
def test_what_a_file_is_packed_with_is_seen_in_its_bytes(tmp_path, kind, name):
    path = tmp_path / name
    path.write_bytes(PACKED[kind])
    loaded = load_profiles(path)
    assert loaded.frame.rows() == [("P", "A01", 1.0), ("P", "A02", 2.0)]
    assert loaded.level == "3"
    with open_plain(path) as handle:
        assert handle.readline() == TEXT.split(b"\n")[0] + b"\n"


def test_the_level_is_read_from_names_of_compressed_files(tmp_path):
    path = tmp_path / "BR1_normalized_negcon.csv.bz2"
    path.write_bytes(PACKED["bzip2"])
    assert load_profiles(path).level == "4a_negcon"
    assert load_profiles(tmp_path, level="4a").frame.height == 2


def test_damaged_and_odd_archives_are_named(tmp_path):
    for kind in ("gzip", "bzip2", "xz", "zstd"):
        path = tmp_path / f"{kind}.csv"
        path.write_bytes(PACKED[kind][:-9])
        with pytest.raises(SchemaError, match=rf"{kind}\.csv cannot be read: .*copy it again"):
            load_profiles(path)
    path = tmp_path / "two.csv.zip"
    path.write_bytes(zipped(TEXT, "a.csv", "b.csv"))
    with pytest.raises(SchemaError, match=r"an archive of one table, found 2 files \(a.csv, b.csv\)"):
        load_profiles(path)
    path.write_bytes(PACKED["zip"][:-30])
    with pytest.raises(SchemaError, match="cannot be read as zip"):
        load_profiles(path)
    with pytest.raises(PlateMapError, match="cannot be read as zip"):
        read_plate_map(path)
