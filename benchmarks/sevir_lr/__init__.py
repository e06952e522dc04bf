"""SEVIR-LR radar: card, protocols and published numbers."""
