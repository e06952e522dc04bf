"""TaxiBJ (Beijing taxi in- and outflow): card, protocols and published numbers."""
