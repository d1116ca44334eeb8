"""The tables of a screen, column by column, in one module per subject."""
