#!/usr/bin/env python3
"""Which failed tests may run once more, alone: `second_chance.py CACHE`, the cache_dir of the pytest run that failed.

Prints one node id per line. Exits with 1 where nobody knows which failed, or where more failed than a busy machine
explains. Knows nothing of what the tests test.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

MOST = 8
GROUP = re.compile(r"@tests[-/].*$")  # xdist appends the group by which it shared the tests out; see tests/made_once.py


def main() -> int:
    file = Path(sys.argv[1]) / "v" / "cache" / "lastfailed"
    failed = sorted({GROUP.sub("", name) for name in json.loads(file.read_text())}) if file.exists() else []
    if not 0 < len(failed) <= MOST:
        print(f"{len(failed)} tests failed: no second chance; expected: 1 to {MOST}", file=sys.stderr)
        return 1
    print("\n".join(failed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
