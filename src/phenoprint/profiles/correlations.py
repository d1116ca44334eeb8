"""Correlations between all pairs of features by matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FloatArray, IntArray

    Matrix = NDArray[np.float64]

__all__ = ["CorrelationMoments", "ExactCorrelations"]

_BLOCK_ROWS = 4096  # rows per product: bounds the standardized copy to block x features float32
_BLOCK_FEATURES = 256
_LEAST = 1e-37  # smallest spread whose inverse is a finite float32
_FLAT = 1e-6  # a variance below this share of the mean square is rounding error


class CorrelationMoments:
    """Sums for the correlations of all pairs of features, accumulated over blocks of rows.

    Blocks are centred in the precision of the values, multiplied in float32 by BLAS and summed in float64. The result
    is within 1e-6 of the float64 computation (`ExactCorrelations`).

    Parameters
    ----------
    center, spread
        Approximate mean and standard deviation of each feature over all rows, shape (features,). They only reduce
        rounding errors; the correlations are those about the true means.
    """

    def __init__(self, center: Matrix, spread: Matrix) -> None:
        self._center, self._scale = _unit(center, spread)
        n = len(center)
        self._products = np.zeros((n, n))
        self._block = np.empty((n, 0), dtype=np.float32)
        self._waiting = 0
        self._one = np.empty((n, n), dtype=np.float32)
        self._n = 0
        self._sum, self._square = np.zeros(n), np.zeros(n)
        # If values are missing: for [i, j], over rows with both, the sum of i, the sum of its square, and the rows.
        self._pairwise: tuple[Matrix, ...] = ()

    def add(self, values: FloatArray) -> None:
        """Add rows, shape (features, rows), NaN where missing."""
        done = 0
        while done < values.shape[1]:
            if not self._block.shape[1]:  # allocated with the first rows
                self._block = np.empty((len(values), _BLOCK_ROWS), dtype=np.float32)
            taken = min(values.shape[1] - done, _BLOCK_ROWS - self._waiting)
            room = self._block[:, self._waiting : self._waiting + taken]
            part = values[:, done : done + taken]
            if values.dtype == np.float32:  # `result` subtracts the remaining mean
                np.subtract(part, self._center.astype(np.float32), out=room)
                room *= self._scale.astype(np.float32)
            else:
                room[:] = (part - self._center) * self._scale
            self._waiting += taken
            done += taken
            if self._waiting == _BLOCK_ROWS:
                self._flush()

    def _flush(self) -> None:
        """Multiply the rows in the buffer."""
        block, self._waiting = self._block[:, : self._waiting], 0
        total = block.sum(axis=1, dtype=np.float64)
        holes = np.flatnonzero(np.isnan(total))
        missing = np.isnan(block[holes])
        if len(holes):
            block[holes] = np.where(missing, 0, block[holes])
            total[holes] = block[holes].sum(axis=1, dtype=np.float64)
        # BLAS computes only half of a product of a matrix with its own transpose.
        np.matmul(block, block.T, out=self._one)
        self._products += self._one
        square = np.diagonal(self._one).astype(np.float64)
        if len(holes) and not self._pairwise:
            shape = self._products.shape
            self._pairwise = (
                np.repeat(self._sum[:, None], shape[0], axis=1),
                np.repeat(self._square[:, None], shape[0], axis=1),
                np.full(shape, float(self._n)),
            )
        if self._pairwise:
            sums, squares, pairs = self._pairwise
            sums += total[:, None]
            squares += square[:, None]
            pairs += block.shape[1]
        if len(holes):
            gone = missing.astype(np.float32)
            lost = gone.sum(axis=1, dtype=np.float64)
            sums[:, holes] -= block @ gone.T
            squares[:, holes] -= (block * block) @ gone.T
            pairs[:, holes] -= lost
            pairs[holes] -= lost[:, None]
            pairs[np.ix_(holes, holes)] += gone @ gone.T
        self._sum += total
        self._square += square
        self._n += block.shape[1]

    def result(self) -> Matrix:
        """Return the Pearson correlation of every pair of features over the rows with both values, as pandas does.

        Returns
        -------
        numpy.ndarray
            Shape (features, features), float64; 0 if a feature is constant or fewer than two rows have both values, 1
            on the diagonal.
        """
        if self._waiting:
            self._flush()
        if not self._pairwise:
            n = max(self._n, 1)
            middle, mean_square = self._sum / n, self._square / n
            variance = mean_square - middle**2
            flat = (variance <= _FLAT * mean_square) | (self._n < 2)
            weight = np.where(flat, 0, 1 / np.sqrt(np.where(flat, 1, variance)))
            result = self._products * (1 / n)
            result -= np.multiply.outer(middle, middle)
            result *= weight
            result *= weight[:, None]
        else:
            result = _pairwise(self._products, self._pairwise)
        np.clip(result, -1, 1, out=result)
        np.fill_diagonal(result, 1)
        return result


def _pairwise(products: Matrix, sums_squares_pairs: tuple[Matrix, ...]) -> Matrix:
    out = np.empty_like(products)
    for start in range(0, len(products), _BLOCK_FEATURES):  # bounds the temporary matrices
        rows = slice(start, start + _BLOCK_FEATURES)
        own, own_square, pairs = (matrix[rows] for matrix in sums_squares_pairs)
        other, other_square, _ = (matrix[:, rows].T for matrix in sums_squares_pairs)
        n = np.maximum(pairs, 1)
        own_mean, other_mean = own / n, other / n
        covariance = products[rows] / n - own_mean * other_mean
        own_square, other_square = own_square / n, other_square / n
        own_variance, other_variance = own_square - own_mean**2, other_square - other_mean**2
        # Without variance the covariance is rounding error; the undefined correlation is set to 0.
        flat = own_variance <= _FLAT * np.maximum(own_square, _FLAT)
        flat |= (other_variance <= _FLAT * np.maximum(other_square, _FLAT)) | (pairs < 2)
        out[rows] = np.where(flat, 0, covariance / np.sqrt(np.where(flat, 1, own_variance * other_variance)))
    return out


class ExactCorrelations:
    """Correlations of some features with all features in float64, accumulated over blocks of rows.

    Parameters
    ----------
    center, spread
        As in `CorrelationMoments`.
    wanted
        Indices of these features.
    """

    def __init__(self, center: Matrix, spread: Matrix, wanted: IntArray) -> None:
        self._center, self._scale = _unit(center, spread)
        self._wanted = wanted
        shape = (len(wanted), len(center))
        # Over rows with both values: products, sums and squares of the wanted and of the other feature, and rows.
        self._sums = [np.zeros(shape) for _ in range(6)]

    def add(self, values: FloatArray) -> None:
        """Add rows, shape (features, rows), NaN where missing."""
        rows = (values - self._center) * self._scale
        there = ~np.isnan(rows)
        complete = bool(there.all())
        rows = rows if complete else np.where(there, rows, 0)
        own = rows[self._wanted]
        self._sums[0] += own @ rows.T
        if complete:
            n = rows.shape[1]
            own_sums = [own.sum(axis=1), np.einsum("ij,ij->i", own, own)]
            sums = [rows.sum(axis=1), np.einsum("ij,ij->i", rows, rows)]
            for number in range(2):
                self._sums[1 + number] += own_sums[number][:, None]
                self._sums[3 + number] += sums[number]
            self._sums[5] += n
            return
        both, own_there = there.astype(np.float64), there[self._wanted].astype(np.float64)
        self._sums[1] += own @ both.T
        self._sums[2] += (own * own) @ both.T
        self._sums[3] += own_there @ rows.T
        self._sums[4] += own_there @ (rows * rows).T
        self._sums[5] += own_there @ both.T

    def result(self) -> Matrix:
        """Return the correlations, shape (wanted, features)."""
        products, own, own_square, other, other_square, pairs = self._sums
        n = np.maximum(pairs, 1)
        own_mean, other_mean = own / n, other / n
        own_variance, other_variance = own_square / n - own_mean**2, other_square / n - other_mean**2
        flat = own_variance <= _FLAT * np.maximum(own_square / n, _FLAT)
        flat |= (other_variance <= _FLAT * np.maximum(other_square / n, _FLAT)) | (pairs < 2)
        root = np.sqrt(np.where(flat, 1, own_variance * other_variance))
        result: Matrix = np.where(flat, 0, (products / n - own_mean * other_mean) / root)
        np.clip(result, -1, 1, out=result)
        result[np.arange(len(result)), self._wanted] = 1
        return result


def _unit(center: Matrix, spread: Matrix) -> tuple[Matrix, Matrix]:
    """Return centre and factor as columns; the factor of a feature without spread is 1."""
    scale = np.where(spread > 0, 1 / np.fmax(spread, _LEAST), 1.0)
    return np.nan_to_num(center)[:, None], scale[:, None]
