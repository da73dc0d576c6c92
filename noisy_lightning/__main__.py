"""python -m noisy_lightning."""

import sys

from noisy_lightning.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
