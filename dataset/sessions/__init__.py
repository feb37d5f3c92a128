"""Sessions of recorded or imported frames, and their manifests."""
