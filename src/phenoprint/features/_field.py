"""One field as the feature families see it: pixel lists, boxes, ranks and distances, computed once on demand."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from phenoprint.features._order import Ordered, order_values
from phenoprint.features._whole import Frame, image_ranks, intensity_statistics
from phenoprint.pixels import squared_distance

__all__ = ["COMPARTMENTS", "Field", "Objects"]

COMPARTMENTS = ("Nuclei", "Cells", "Cytoplasm")
"""Compartments in the order of the columns."""

FloatArray = npt.NDArray[np.float64]


class Field:
    """One field: its channels, its object numbers and its compartments.

    Parameters
    ----------
    pixels
        Channels ``(C, Y, X)`` float32, integer images already divided by their maximum.
    channels
        One name per channel.
    numbers
        Object number of each row, ascending, ``(n,)``.
    labels
        Compartment to labels ``(Y, X)`` int32 with values 0 (background) and 1..n, the row plus one.
    levels
        Grey levels below full scale, such as 65535; sets the step of Costes' search.
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

    @property
    def channel_pairs(self) -> npt.NDArray[np.int64]:
        """Every pair of channels, in CellProfiler's order, ``(pairs, 2)``."""
        return np.array(list(combinations(range(len(self.channels)), 2)), np.int64).reshape(-1, 2)

    @cached_property
    def ordered(self) -> Ordered:
        """The sorted values of every channel in each object, and their ranks, from one sort per channel."""
        return order_values(self.flat, [(o.compartment, o.pixels, o.offsets) for o in self.compartments.values()])

    @cached_property
    def frame(self) -> Frame:
        """The whole image as one object."""
        return Frame.of(self.shape)

    @cached_property
    def ranks(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Dense ranks of the pixel values in the whole image ``(C, Y * X)``, and the largest rank ``(C,)``."""
        return image_ranks(self.flat)

    @cached_property
    def statistics(self) -> list[dict[str, float]]:
        """Intensity statistics of each whole channel, by CellProfiler's names."""
        return [intensity_statistics(channel) for channel in self.flat]

    def close(self) -> None:
        """Remove the compartments, which refer back to the field, so that memory is freed at once."""
        self.compartments.clear()

    def shared(self, key: tuple[Hashable, ...], compute: Callable[[Field, tuple[Hashable, ...]], Any]) -> Any:
        """Return a result of a family on whole channels, computed once for all compartments.

        Parameters
        ----------
        key
            Starts with the family, so that families with different parameters have results of their own.
        compute
            Called with the field and the key if there is no result yet.
        """
        if key not in self._shared:
            self._shared[key] = compute(self, key)
        return self._shared[key]


class Objects:
    """The objects of one compartment of a field.

    There is one row per object of the field. An object without pixels in this compartment has an empty pixel list, and
    its values are replaced by NaN.

    Attributes
    ----------
    field : Field
        The field, with the other compartments.
    compartment : str
        ``"Nuclei"``, ``"Cells"`` or ``"Cytoplasm"``.
    labels : ndarray
        ``(Y, X)`` int32, 0 is background, other values are the row plus one.
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

    @cached_property
    def _grouped(self) -> Any:
        from phenoprint.features._kernels_pixels import group_pixels

        return group_pixels(self.labels, self.n)

    @property
    def pixels(self) -> npt.NDArray[np.int32]:
        """Flat index of every object pixel, ``(P,)`` int32, object after object."""
        return np.asarray(self._grouped[0])

    @property
    def rows(self) -> npt.NDArray[np.int32]:
        """Row of each of ``pixels``, ``(P,)``; stored because one division per pixel costs more than reading it."""
        return np.asarray(self._grouped[1])

    @property
    def columns(self) -> npt.NDArray[np.int32]:
        """Column of each of ``pixels``, ``(P,)``."""
        return np.asarray(self._grouped[2])

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """Start of each object's pixels, ``(n + 1,)``: object i has ``pixels[offsets[i]:offsets[i + 1]]``."""
        return np.asarray(self._grouped[3])

    @property
    def box(self) -> npt.NDArray[np.int32]:
        """Bounding boxes ``(n, 4)`` as y0, x0, y1, x1, half open."""
        return np.asarray(self._grouped[4])

    @cached_property
    def area(self) -> FloatArray:
        """Number of pixels of each object, ``(n,)``."""
        return np.diff(self.offsets).astype(np.float64)

    @cached_property
    def values(self) -> npt.NDArray[np.float32]:
        """Every channel at ``pixels``, ``(C, P)``."""
        from phenoprint.features._kernels_pixels import channel_values

        return np.asarray(channel_values(self.field.flat, self.pixels))

    @cached_property
    def sums(self) -> FloatArray:
        """Sum of every channel over each object, ``(C, n)``."""
        from phenoprint.features._kernels_pixels import object_sums

        return np.asarray(object_sums(self.values, self.offsets))

    @cached_property
    def outline(self) -> npt.NDArray[np.bool_]:
        """Pixels with one of eight neighbours outside their object, or on the image border, ``(Y, X)``."""
        from phenoprint.features._kernels_pixels import outline

        return np.asarray(outline(self.labels))

    @property
    def ordered(self) -> npt.NDArray[np.float32]:
        """Values of every channel, sorted within each object, ``(C, P)``."""
        return self.field.ordered.values[self.compartment]

    @cached_property
    def ranks(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Dense ranks of the values among all pixels of the compartment, ``(C, P)`` from 0; the largest ``(C,)``."""
        from phenoprint.features._kernels_pixels import dense_ranks

        ordered = self.field.ordered
        ranks, tops = dense_ranks(ordered.codes, ordered.rows[self.compartment])
        return ranks, tops

    @cached_property
    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Spatial (about the box corner) and central moments up to order 3 per axis, ``(n, 4, 4)`` [y, x]."""
        from phenoprint.features._kernels_shape import moments

        spatial, central = moments(self.rows, self.columns, self.offsets, self.box)
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

        points, ends = hulls(self.rows, self.columns, self.offsets, self.box)
        return points, ends

    @cached_property
    def power_sums(self) -> FloatArray:
        """Sums of x**a y**b in the smallest enclosing circle, unweighted and weighted by each channel."""
        from phenoprint.features._kernels_geometry import power_sums

        return np.asarray(power_sums(self.rows, self.columns, self.offsets, self.circles, self.values))

    @cached_property
    def edge_distance2(self) -> npt.NDArray[np.float32]:
        """Squared distance to the nearest pixel outside the object, ``(Y * X,)``; see `phenoprint.pixels`."""
        return squared_distance(self.labels).reshape(-1)

    def innermost(self, *, exact: bool) -> npt.NDArray[np.int64]:
        """Return the flat index of the pixel farthest from the edge of each object, ``(n,)``; -1 for an empty object.

        Ties are resolved as in CellProfiler if ``exact``, otherwise by the first pixel in reading order.
        """
        from phenoprint.features._kernels_ties import largest_like_cellprofiler

        return np.asarray(largest_like_cellprofiler(self.edge_distance2, self.labels.reshape(-1), self.n, exact))

    def brightest(self, channel: int) -> npt.NDArray[np.int64]:
        """Return the flat index of each object's brightest pixel, ties as in CellProfiler; -1 for an empty object."""
        from phenoprint.features._kernels_ties import largest_like_cellprofiler

        if len(self.pixels) == 0:
            return np.full(self.n, -1)
        foreground, owners = self._in_reading_order
        place = largest_like_cellprofiler(self.field.flat[channel][foreground], owners, self.n, True)
        return np.where(place >= 0, foreground[place], -1)

    @cached_property
    def _in_reading_order(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int32]]:
        """Flat index and label of every object pixel, row by row of the image."""
        flat = self.labels.reshape(-1)
        foreground = np.flatnonzero(flat)
        return foreground, flat[foreground]

    def release(self) -> None:
        """Free the large intermediate results; they are computed again on demand."""
        for name in ("values", "sums", "ranks", "edge_distance2", "outline", "power_sums", "_in_reading_order"):
            self.__dict__.pop(name, None)

    @cached_property
    def circles(self) -> FloatArray:
        """Centre y, x and radius of the smallest enclosing circles, ``(n, 3)``."""
        from phenoprint.features._kernels_geometry import enclosing_circles

        return np.asarray(enclosing_circles(*self.hulls))
