"""Imported rows, and the tables that go with them, written into a screen."""
