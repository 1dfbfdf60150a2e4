"""What a plugin author imports.

``hookimpl`` marks the functions in a plugin's ``__init__.py`` that offer its components; the
specifications are in :mod:`wsoltool.plugin.hookspecs`.
"""

import pluggy

hookimpl = pluggy.HookimplMarker("wsoltool")

__all__ = ["hookimpl"]
