"""Is it good: metrics, statistics, calibration, readiness."""
