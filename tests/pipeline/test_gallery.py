"""Galleries: the right treatments, cells near the middle, pictures that can be read."""

from __future__ import annotations

import imagecodecs

from phenoprint.pipeline import RunResult


def test_gallery_of_a_run_holds_pictures_of_its_cells(tiny_run: RunResult) -> None:
    gallery = tiny_run.screen.table("gallery").collect()
    assert gallery.height > 20
    picture = imagecodecs.png_decode(gallery["crop"][0])
    assert picture.shape[2] == 3
    assert picture.max() > 100
    keys = ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_ObjectNumber"]
    known = tiny_run.screen.table("object").select(keys).collect()
    assert gallery.join(known, on=keys, how="anti").is_empty()
