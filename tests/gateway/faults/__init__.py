"""Faults to survive: after each of them the books, the log, the places and the nodes are looked at."""
