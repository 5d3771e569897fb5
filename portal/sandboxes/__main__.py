"""`python -m portal.sandboxes`: the sandboxes without Django, as the supervisor starts them."""

import sys

from portal.sandboxes.server import main

sys.exit(main(sys.argv[1:]))
