"""BAIR robot pushing: card, protocols and published numbers."""
