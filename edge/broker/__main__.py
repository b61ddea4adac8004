"""``python -m edge.broker``."""

import sys

from edge.broker.embedded import main

sys.exit(main())
