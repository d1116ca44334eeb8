from __future__ import annotations

import numpy as np
import pytest

from phenoprint.errors import ImageError, UnknownNameError, UsageError
from phenoprint.segmentation.pixels import cell_channels, checked_pixels, nucleus_channel, to_unit


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.uint32])
def test_integers_are_divided_by_the_maximum_of_their_type(dtype):
    top = np.iinfo(dtype).max
    found = to_unit(np.array([0, top], dtype))
    assert found.dtype == np.float32
    assert found.tolist() == [0, 1]


def test_floats_and_booleans_stay_as_they_are():
    assert to_unit(np.array([0.25, 1.5])).tolist() == [0.25, 1.5]
    assert to_unit(np.array([False, True])).tolist() == [0, 1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_number_are_counted(bad):
    pixels = np.zeros((1, 4, 4))
    pixels[0, 1, 1:3] = bad
    with pytest.raises(ImageError, match="2 of 16 pixels are NaN or infinite"):
        checked_pixels(pixels, ["DNA"])


def test_shapes_and_names_must_fit():
    with pytest.raises(UsageError, match=r"2 dimensions.*pixels\[None\]"):
        checked_pixels(np.zeros((4, 4)), ["DNA"])
    with pytest.raises(UsageError, match="2 planes but 1 channels"):
        checked_pixels(np.zeros((2, 4, 4)), ["DNA"])
    with pytest.raises(UsageError, match="list of names"):
        checked_pixels(np.zeros((3, 4, 4)), "DNA")
    with pytest.raises(UsageError, match="ER occurs more than once"):
        checked_pixels(np.zeros((3, 4, 4)), ["DNA", "ER", "ER"])
    with pytest.raises(ImageError, match="no pixels"):
        checked_pixels(np.zeros((1, 0, 4)), ["DNA"])
    with pytest.raises(ImageError, match="complex"):
        checked_pixels(np.zeros((1, 4, 4), complex), ["DNA"])


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


def test_no_nuclear_channel_says_what_was_looked_for_and_what_is_there():
    with pytest.raises(UsageError, match=r"looked for DNA, DAPI, Hoechst.*found GFP, RFP; .*nucleus_channel"):
        nucleus_channel(["GFP", "RFP"])
    with pytest.raises(UnknownNameError, match="did you mean 'DNA'"):
        nucleus_channel(["GFP", "DNA"], "DNa")
    assert nucleus_channel(["GFP", "RFP"], "RFP") == 1


def test_cell_channels_are_the_best_there_are():
    painting = ["DNA", "ER", "RNA", "AGP", "Mito"]
    assert cell_channels(painting, nucleus=0) == (3,)
    assert cell_channels(painting, nucleus=0, wanted="ER") == (1,)
    assert cell_channels(painting, nucleus=0, wanted=["AGP", "RNA"]) == (3, 2)
    assert cell_channels(painting, nucleus=0, wanted=()) == ()
    assert cell_channels(["DNA", "w2", "Brightfield", "w3"], nucleus=0) == (1, 3)
    assert cell_channels(["DNA"], nucleus=0) == ()
    with pytest.raises(UnknownNameError, match="cell channel 'AGPP'"):
        cell_channels(painting, nucleus=0, wanted="AGPP")
