"""Pictures of maps and boxes."""
