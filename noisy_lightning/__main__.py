"""python -m noisy_lightning."""

import sys

from noisy_lightning.cli import main

sys.exit(main())
