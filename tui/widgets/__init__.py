"""Widgets that draw only the lines in sight."""
