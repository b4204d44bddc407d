"""Tests of metrics, traces, logs and statistics."""
