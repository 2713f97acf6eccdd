"""What is read of jobs, models and comparisons; knows no widget."""
