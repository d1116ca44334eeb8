"""Plate maps, tables of treatments and lists of exclusions."""
