"""Metrics, traces, logs and statistics."""
