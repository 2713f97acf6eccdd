"""What every floor stands on: errors, text, files, locks, databases, processes, memory, progress, settings."""
