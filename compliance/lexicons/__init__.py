"""Tools for term lists: import from common formats, coverage against the bank rules, differences of two versions."""
