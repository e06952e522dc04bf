"""Human3.6M: card, protocols and published numbers."""
