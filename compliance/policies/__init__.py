"""Policies: what is done about a finding, in files that inherit from one another."""
