"""Sources: what can be imported at a path, and its rows as they are on disk."""
