"""Prompt injection and jailbreaks: attempts to make a model drop its instructions, tell them, or act for a stranger."""
