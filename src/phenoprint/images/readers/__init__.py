"""Readers: where the images of a plate are, by file names or by a table."""

from __future__ import annotations

from phenoprint.images.readers.patterns import PATTERNS
from phenoprint.images.readers.reader import INDEX_SCHEMA, READERS, Reader, checked_index

__all__ = ["INDEX_SCHEMA", "PATTERNS", "READERS", "Reader", "checked_index"]
