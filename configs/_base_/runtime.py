"""What every run shares."""

randomness = dict(seed=0)
