"""Complaints and reports of the public, with their queue and answers."""
