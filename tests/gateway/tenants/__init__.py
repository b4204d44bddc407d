"""Tenants, members, keys and the control API."""
