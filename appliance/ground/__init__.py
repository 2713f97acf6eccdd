"""What every floor stands on: errors, text, files, locks, processes, settings."""
