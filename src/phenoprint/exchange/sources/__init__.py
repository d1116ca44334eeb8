"""Tables that other software wrote: what lies at a path, and how each kind of file is read, piece by piece."""
