"""TaxiNYC (New York taxi in- and outflow): card and protocols."""
