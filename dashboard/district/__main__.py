"""``python -m dashboard.district``."""

import sys

from dashboard.district.command import main

sys.exit(main())
