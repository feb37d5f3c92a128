"""Each viewpoint under many lights, recorded unattended."""
