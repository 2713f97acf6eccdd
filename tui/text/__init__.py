"""Text as a terminal can show it: cells with styles, commands for a shell, places of values in a text."""
