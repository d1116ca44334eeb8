"""Imported rows and the tables that accompany them, written into a screen."""
