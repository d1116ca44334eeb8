from __future__ import annotations

import numpy as np
import pytest

from phenoprint.errors import ImageError, UnknownNameError, UsageError
from phenoprint.segmentation.inputs import cell_channels, nucleus_channel, unit_pixels


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite_are_counted(bad):
    pixels = np.zeros((1, 4, 4))
    pixels[0, 1, 1:3] = bad
    with pytest.raises(ImageError, match="2 of 16 pixels are NaN or infinite"):
        unit_pixels(pixels)


def test_fields_without_pixels_and_other_types_are_refused():
    with pytest.raises(ImageError, match="no pixels"):
        unit_pixels(np.zeros((1, 0, 4)))
    with pytest.raises(ImageError, match="complex"):
        unit_pixels(np.zeros((1, 4, 4), complex))


@pytest.mark.parametrize(
    ("channels", "index"),
    [
        (["ER", "DNA"], 1),
        (["Mito", "hoechst", "AGP"], 1),
        (["DAPI", "Hoechst 33342"], 0),
        (["GFP", "Hoechst 33342"], 1),
        (["GFP", "dapi_460"], 1),
    ],
)
def test_the_nuclear_channel_is_found(channels, index):
    assert nucleus_channel(channels) == index


def test_a_missing_nuclear_channel_is_an_error_with_both_lists_of_names():
    with pytest.raises(UsageError, match=r"looked for DNA, DAPI, Hoechst.*found GFP, RFP; .*nucleus_channel"):
        nucleus_channel(["GFP", "RFP"])
    with pytest.raises(UnknownNameError, match="did you mean 'DNA'"):
        nucleus_channel(["GFP", "DNA"], "DNa")
    assert nucleus_channel(["GFP", "RFP"], "RFP") == 1


def test_the_best_available_cell_channels_are_taken():
    painting = ["DNA", "ER", "RNA", "AGP", "Mito"]
    assert cell_channels(painting, nucleus=0) == (3,)
    assert cell_channels(painting, nucleus=0, wanted="ER") == (1,)
    assert cell_channels(painting, nucleus=0, wanted=["AGP", "RNA"]) == (3, 2)
    assert cell_channels(painting, nucleus=0, wanted=()) == ()
    assert cell_channels(["DNA", "w2", "Brightfield", "w3"], nucleus=0) == (1, 3)
    assert cell_channels(["DNA"], nucleus=0) == ()
    with pytest.raises(UnknownNameError, match="cell channel 'AGPP'"):
        cell_channels(painting, nucleus=0, wanted="AGPP")
