"""Worker processes: who lives, one port, live reload."""
