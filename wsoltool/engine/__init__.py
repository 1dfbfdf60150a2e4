"""Training, testing and localizing: what the commands do."""
