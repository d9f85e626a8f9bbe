"""`python -m armside` is `armside`."""

import sys

from armside.cli import main

sys.exit(main())
