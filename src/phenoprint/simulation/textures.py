"""Tiling textures of the cells, made once per pixel size and sampled at random offsets."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from phenoprint.simulation.seeding import Stream, stream

__all__ = ["TEXTURES", "TILE", "texture_bank"]

TILE = 256  # a power of two, because the kernels wrap coordinates with a bit mask

# In the order of the indices in the kernels.
TEXTURES = ("chromatin", "grain", "reticulum", "network", "puncta", "fibres")


def _noise(index: int, *, sigma_y: float, sigma_x: float) -> NDArray[np.float64]:
    """Draw a tiling Gaussian random field of mean 0 and standard deviation 1, smoothed by sigmas in px."""
    white = np.fft.rfft2(stream(0, Stream.TEXTURE, index).standard_normal((TILE, TILE)))
    fy, fx = np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None, :]
    smooth = np.exp(-2 * np.pi**2 * ((fy * sigma_y) ** 2 + (fx * sigma_x) ** 2))
    smooth[0, 0] = 0.0
    texture = np.fft.irfft2(white * smooth, s=(TILE, TILE))
    return np.asarray(texture / texture.std())


def _lines(texture: NDArray[np.float64], *, width: float) -> NDArray[np.float64]:
    """Draw thin lines where a field crosses zero, with mean 1."""
    lines = np.exp(-((texture / width) ** 2))
    return np.asarray(lines / lines.mean())


@lru_cache(maxsize=8)
def texture_bank(pixel_size_um: float) -> NDArray[np.float32]:
    """Make the textures for a pixel size.

    Parameters
    ----------
    pixel_size_um
        Size of a pixel, µm. Structures have their size in µm but are never finer than the pixels can resolve.

    Returns
    -------
    numpy.ndarray
        float32 (len(TEXTURES), TILE, TILE), read-only, tiling without a seam. The first two have mean 0 and
        standard deviation 1, the others are positive with mean 1.
    """

    def px(size_um: float) -> float:
        return max(size_um / pixel_size_um, 0.85)

    chromatin = _noise(0, sigma_y=px(0.65), sigma_x=px(0.65))
    grain = _noise(1, sigma_y=px(0.9), sigma_x=px(0.9))
    reticulum = _lines(_noise(2, sigma_y=px(0.95), sigma_x=px(0.95)), width=0.55)
    patches = np.exp(0.55 * _noise(3, sigma_y=px(2.5), sigma_x=px(2.5)))
    network = _lines(_noise(4, sigma_y=px(1.35), sigma_x=px(1.0)), width=0.38) * patches
    puncta = np.maximum(_noise(5, sigma_y=px(0.7), sigma_x=px(0.7)) - 0.9, 0) ** 1.3
    along = _noise(6, sigma_y=px(0.55), sigma_x=px(9.0))
    fibres = np.maximum(along - 0.35, 0) ** 1.4
    positive = [texture / texture.mean() for texture in (reticulum, network, puncta, fibres)]
    bank = np.stack([chromatin, grain, *positive]).astype(np.float32)
    bank.setflags(write=False)
    return bank
