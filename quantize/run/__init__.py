"""One quantization run: from a checked base and calibration file to a finished artefact folder."""
