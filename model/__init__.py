"""From a data set to a restored picture. Imports ``dataset``, never ``capture``: no display."""

import os

# Threads that wait for each other in a step spin first. Beside another busy program the usual time
# for that makes a step ten times as slow (docs/LOG.md); torch reads this when it is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
