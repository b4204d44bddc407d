"""Evaluations side by side, as one HTML file and as JSON."""
