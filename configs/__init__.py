"""Typed settings and the data they load: policies, lexicons, the catalog."""
