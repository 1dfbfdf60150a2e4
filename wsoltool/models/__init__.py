"""The localizer and its parts."""
