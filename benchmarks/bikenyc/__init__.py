"""BikeNYC (New York bicycle flow): card, protocols and published numbers."""
