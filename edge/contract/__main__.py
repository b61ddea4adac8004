"""``python -m edge.contract``."""

import sys

from edge.contract.pages import main

sys.exit(main())
