"""Other software's tables brought to the names, types and keys of a screen."""
