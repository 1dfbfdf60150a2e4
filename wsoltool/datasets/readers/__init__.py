"""How data sets lie on disk, one file a layout; :mod:`.base` is what a new one implements."""
