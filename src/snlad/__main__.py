"""``python -m snlad``."""

from snlad.cli.app import main

main()
