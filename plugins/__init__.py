"""The methods, one folder a paper; imported as ``wsoltool_plugins``."""
