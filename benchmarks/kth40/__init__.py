"""KTH actions, 10 to 40 frames: card, protocols and published numbers."""
