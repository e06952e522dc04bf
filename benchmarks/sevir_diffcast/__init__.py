"""SEVIR radar, 5 to 20 frames at 128 pixels: card, protocols and published numbers."""
