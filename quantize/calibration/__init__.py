"""Calibration data: reading it strictly, and making it for the starter model."""
