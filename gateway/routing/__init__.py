"""The engine nodes: which are ready, which one takes a request, what happens when one fails."""
