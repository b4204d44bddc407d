"""`python -m configs`: the same as the `opcgate` command."""

from configs.cli import main

main()
