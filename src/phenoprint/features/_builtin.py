"""Imports the modules whose families register themselves."""

from phenoprint.features import correlation, granularity, intensity, location, neighbors, radial, shape, texture

__all__ = ["correlation", "granularity", "intensity", "location", "neighbors", "radial", "shape", "texture"]
