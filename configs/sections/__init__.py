"""Sections of the settings, one file for each part of the product."""
