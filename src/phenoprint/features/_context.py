"""What the families share of one field: pixel lists, boxes, orders and distances, computed once on demand."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["COMPARTMENTS", "Field", "Objects"]

COMPARTMENTS = ("Nuclei", "Cells", "Cytoplasm")
"""Compartments in the order of the output's columns."""

FloatArray = npt.NDArray[np.float64]


class Field:
    """One field: its channels, its object numbers and its compartments.

    Parameters
    ----------
    pixels
        Channels ``(C, Y, X)`` float32, integer images already divided by their maximum.
    channels
        A name a channel.
    numbers
        Object number of each row, ascending, ``(n,)``.
    labels
        Compartment name to labels ``(Y, X)`` int32 with values 0 (background) and 1..n, the row plus one.
    levels
        Grey levels of the camera below full scale, such as 65535: the step of Costes' search.
    """

    def __init__(
        self,
        pixels: npt.NDArray[np.float32],
        channels: Sequence[str],
        numbers: npt.NDArray[np.int64],
        labels: Mapping[str, npt.NDArray[np.int32]],
        *,
        levels: int,
    ) -> None:
        self.channels = tuple(channels)
        self.numbers = numbers
        self.levels = levels
        self.shape: tuple[int, int] = (pixels.shape[1], pixels.shape[2])
        self.flat = np.ascontiguousarray(pixels.reshape(len(self.channels), -1))
        self._shared: dict[Hashable, Any] = {}
        self.compartments = {name: Objects(self, name, each) for name, each in labels.items()}

    @property
    def n(self) -> int:
        """Number of objects."""
        return len(self.numbers)

    @cached_property
    def sorted_values(self) -> list[dict[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.int32], int]]]:
        """For each channel and compartment: values sorted inside each object, ranks by pixel, largest rank.

        One sort a channel serves the quantiles of all objects and the pooled ranks of all compartments.
        """
        from phenoprint.features._kernels_pixels import distribute, pick, radix_order

        kinds = list(self.compartments.values())
        stacked = np.stack([objects.labels.reshape(-1) for objects in kinds], axis=1)
        foreground = np.flatnonzero(stacked.any(axis=1)).astype(np.int32)
        starts = np.cumsum([0] + [len(objects.pixels) for objects in kinds])
        offsets = np.stack([objects.offsets[:-1] for objects in kinds])
        result = []
        for channel in self.flat:
            order, ordered = radix_order(channel, foreground)
            values, ranks, top = distribute(order, ordered, stacked, starts, offsets.copy())
            result.append(
                {
                    objects.compartment: (
                        values[starts[k] : starts[k + 1]],
                        pick(ranks, k, objects.pixels),
                        int(top[k]),
                    )
                    for k, objects in enumerate(kinds)
                }
            )
        return result

    def close(self) -> None:
        """Let go of the compartments, which point back here: the memory is free at once, not at the next collection."""
        self.compartments.clear()

    def shared(self, key: tuple[Hashable, ...], compute: Callable[[Field, tuple[Hashable, ...]], Any]) -> Any:
        """Return what a family computes on whole channels, once for all compartments.

        ``key`` starts with the family itself, so that two with different parameters do not share; ``compute``
        is called with the field and the key.
        """
        if key not in self._shared:
            self._shared[key] = compute(self, key)
        return self._shared[key]


class Objects:
    """The objects of one compartment of a field, as every family sees them.

    Rows are the field's objects: an object without pixels in this compartment has an empty pixel list, and
    whatever a family returns for it is overwritten by NaN.

    Attributes
    ----------
    field : Field
        The field, with the other compartments.
    compartment : str
        ``"Nuclei"``, ``"Cells"`` or ``"Cytoplasm"``.
    labels : ndarray
        ``(Y, X)`` int32, 0 is background, otherwise the row plus one.
    """

    def __init__(self, field: Field, compartment: str, labels: npt.NDArray[np.int32]) -> None:
        self.field = field
        self.compartment = compartment
        self.labels = labels

    @property
    def n(self) -> int:
        """Number of objects (rows)."""
        return self.field.n

    @property
    def width(self) -> int:
        """Width of the image in pixels: flat index = y * width + x."""
        return self.field.shape[1]

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return self.field.channels

    @property
    def channel_pairs(self) -> Iterator[tuple[int, int]]:
        """Every pair of channels, in CellProfiler's order."""
        return combinations(range(len(self.channels)), 2)

    @cached_property
    def _grouped(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        from phenoprint.features._kernels_pixels import group_pixels

        pixels, offsets, box = group_pixels(self.labels, self.n)
        return pixels, offsets, box

    @property
    def pixels(self) -> npt.NDArray[np.int32]:
        """Flat index of every object pixel, object after object, ``(P,)``."""
        return self._grouped[0]

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """Object i has ``pixels[offsets[i]:offsets[i + 1]]``, ``(n + 1,)``."""
        return self._grouped[1]

    @property
    def box(self) -> npt.NDArray[np.int32]:
        """Bounding boxes y0, x0, y1, x1, half open, ``(n, 4)``."""
        return self._grouped[2]

    @cached_property
    def area(self) -> FloatArray:
        """Number of pixels of each object, ``(n,)``."""
        return np.diff(self.offsets).astype(np.float64)

    @cached_property
    def values(self) -> npt.NDArray[np.float32]:
        """Every channel at ``pixels``, ``(C, P)``."""
        from phenoprint.features._kernels_pixels import gather

        return np.asarray(gather(self.field.flat, self.pixels))

    @cached_property
    def outline(self) -> npt.NDArray[np.bool_]:
        """Pixels with a neighbour (of eight) outside their object, or on the image border, ``(Y, X)``."""
        from phenoprint.features._kernels_pixels import outline

        return np.asarray(outline(self.labels))

    def ordered(self, channel: int) -> npt.NDArray[np.float32]:
        """Values of a channel sorted inside each object, ``(P,)``."""
        return self.field.sorted_values[channel][self.compartment][0]

    def ranks(self, channel: int) -> tuple[npt.NDArray[np.int32], int]:
        """Dense rank of every pixel's value among all of the compartment, from 0, and the largest rank."""
        return self.field.sorted_values[channel][self.compartment][1:]

    @cached_property
    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Spatial (about the box corner) and central moments up to order 3 an axis, ``(n, 4, 4)`` [y, x]."""
        from phenoprint.features._kernels_shape import moments

        spatial, central = moments(self.pixels, self.offsets, self.box, self.width)
        return spatial, central

    @cached_property
    def centre(self) -> tuple[FloatArray, FloatArray]:
        """Centroid y and x in image pixels; NaN for an empty object."""
        spatial = self.moments[0]
        area = np.where(self.area > 0, self.area, np.nan)
        return spatial[:, 1, 0] / area + self.box[:, 0], spatial[:, 0, 1] / area + self.box[:, 1]

    @cached_property
    def hulls(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Corners of the convex hulls of the pixel centres ``(H, 2)`` [y, x], and offsets ``(n + 1,)``."""
        from phenoprint.features._kernels_geometry import hulls

        points, ends = hulls(self.pixels, self.offsets, self.box, self.width)
        return points, ends

    @cached_property
    def power_sums(self) -> FloatArray:
        """Sums of x**a y**b in the smallest enclosing circle, plain and weighted by each channel."""
        from phenoprint.features._kernels_geometry import power_sums

        return np.asarray(power_sums(self.pixels, self.offsets, self.width, self.circles, self.values))

    @cached_property
    def edge_distance2(self) -> FloatArray:
        """Squared distance of every pixel to the nearest not of its object, ``(Y * X,)``; the border is no edge."""
        from phenoprint.features._kernels_shape import squared_distance

        return np.asarray(squared_distance(self.labels)).reshape(-1)

    def innermost(self, *, exact: bool) -> npt.NDArray[np.int64]:
        """Flat index of the pixel farthest from the edge of each object, ``(n,)``; -1 for an empty one.

        ``exact`` settles ties as CellProfiler does, otherwise the first in reading order wins.
        """
        from phenoprint.features._kernels_ties import largest_like_cellprofiler

        return np.asarray(largest_like_cellprofiler(self.edge_distance2, self.labels.reshape(-1), self.n, exact))

    def brightest(self, channel: int) -> npt.NDArray[np.int64]:
        """Flat index of the brightest pixel of each object, ties as CellProfiler; -1 for an empty object."""
        from phenoprint.features._kernels_ties import largest_like_cellprofiler

        foreground = np.flatnonzero(self.labels)
        if len(foreground) == 0:
            return np.full(self.n, -1)
        values = self.field.flat[channel][foreground].astype(np.float64)
        place = largest_like_cellprofiler(values, self.labels.reshape(-1)[foreground], self.n, True)
        return np.where(place >= 0, foreground[place], -1)

    @cached_property
    def circles(self) -> FloatArray:
        """Centre y, x and radius of the smallest enclosing circles, ``(n, 3)``."""
        from phenoprint.features._kernels_geometry import enclosing_circles

        return np.asarray(enclosing_circles(*self.hulls))
