"""Readers, which list the images of plates from file names or a table."""

from __future__ import annotations

from phenoprint.images.readers.patterns import PATTERNS
from phenoprint.images.readers.reader import INDEX_SCHEMA, READERS, Reader, checked_index

__all__ = ["INDEX_SCHEMA", "PATTERNS", "READERS", "Reader", "checked_index"]
