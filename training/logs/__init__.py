"""Traffic with a frontier that a company already has: read, grouped by what was asked, and made rows to learn from."""
