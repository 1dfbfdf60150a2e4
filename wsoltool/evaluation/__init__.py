"""Scores, maps and boxes against the truth, under named protocols."""
