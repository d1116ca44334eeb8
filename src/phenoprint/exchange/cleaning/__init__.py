"""Rows of a source with the names, types and keys of a screen."""
