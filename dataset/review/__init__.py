"""The page on which frames are looked through and labelled."""
