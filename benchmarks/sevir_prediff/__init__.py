"""SEVIR radar, 7 to 6 frames at 10 minutes: card, protocols and published numbers."""
