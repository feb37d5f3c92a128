"""From a data set to a restored picture. Imports ``dataset``, never ``capture``: no display."""
