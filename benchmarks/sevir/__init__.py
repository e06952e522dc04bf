"""SEVIR radar, 13 to 12 frames: card, protocols and published numbers."""
