"""`python -m catsdogs`, the same as the command `catsdogs`.
It must not hold anything of its own."""

import sys

from catsdogs.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
