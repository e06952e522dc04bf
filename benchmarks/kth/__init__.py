"""KTH actions: card, protocols and published numbers."""
