"""Weakly supervised object localization as a toolbox of plugins.

Importing this package imports no torch; the parts import what they need.
"""

__version__ = "0.1.0"
