from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoprint.errors import ImageError
from phenoprint.report.pictures import _area_means, data_uri, decode_picture, shrink


def gradient(height: int = 60, width: int = 90) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([255 * y / height, 255 * x / width, 0 * x], axis=-1).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    return bytes(imagecodecs.png_encode(pixels))


def test_pictures_are_brought_to_size_and_keep_their_shape_and_colour() -> None:
    small = decode_picture(shrink(png(gradient()), side=30, quality=95))
    assert small.shape == (20, 30, 3)
    np.testing.assert_allclose(small[:, :, 0].mean(), gradient()[:, :, 0].mean(), atol=2)
    assert small[0, -1, 1] > 200
    assert small[-1, 0, 0] > 200


def test_small_pictures_are_not_enlarged_and_small_jpegs_not_touched() -> None:
    content = shrink(png(gradient()), side=200)
    assert decode_picture(content).shape == (60, 90, 3)
    assert shrink(content, side=40, most=len(content)) == content
    assert shrink(content, side=40, most=len(content) - 1) != content


def test_grey_sixteen_bit_and_transparent_pictures_are_read() -> None:
    grey = np.ascontiguousarray(gradient()[:, :, 1])
    assert (decode_picture(png(grey)) == grey[..., None]).all()
    np.testing.assert_array_equal(decode_picture(png(grey.astype(np.uint16) << 8)), decode_picture(png(grey)))
    assert decode_picture(png(np.dstack([gradient(), grey]))).shape == (60, 90, 3)


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n and no more", b"\xff\xd8\xff\xe0 cut"])
def test_what_is_no_picture_is_an_image_error(content: bytes) -> None:
    with pytest.raises(ImageError):
        decode_picture(content)
    with pytest.raises(ImageError):
        shrink(content, side=20, most=10_000)


def test_the_address_names_the_format() -> None:
    assert data_uri(png(gradient())).startswith("data:image/png;base64,iVBOR")
    assert data_uri(shrink(png(gradient()), side=20)).startswith("data:image/jpeg;base64,/9j/")


@given(st.integers(1, 40), st.data())
def test_means_over_areas_keep_the_mean_and_a_constant(n: int, data: st.DataObject) -> None:
    m = data.draw(st.integers(1, n))
    values = np.arange(n, dtype=np.float32)[:, None] * np.ones((1, 2), dtype=np.float32)
    np.testing.assert_allclose(_area_means(values, m).mean(axis=0), values.mean(axis=0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(_area_means(np.full((n, 3), 7, np.float32), m), 7, rtol=1e-5)
