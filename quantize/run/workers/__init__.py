"""Programs that quantize, each run as a process of its own, in the environment that has its tool.

They import nothing of ours but `messages`, which needs only the standard library.
"""
