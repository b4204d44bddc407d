"""`opcgate scan`: texts, files and folders through the pipeline, for people and for scripts."""
