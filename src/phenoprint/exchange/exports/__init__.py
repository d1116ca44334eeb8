"""Profiles written as the files that other tools read."""
