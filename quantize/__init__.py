"""Offline quantization: recipe -> artefact -> evaluation -> card."""
