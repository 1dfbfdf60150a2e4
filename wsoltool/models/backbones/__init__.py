"""Feature extractors with named insert points."""
