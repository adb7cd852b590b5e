"""Makes `python -m tools.devcluster` work."""

import sys

from tools.devcluster.cli import main

if __name__ == "__main__":
    sys.exit(main())
