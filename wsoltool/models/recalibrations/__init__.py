"""The core's recalibrations, one file a paper; those of WSOL papers come with their plugins."""
