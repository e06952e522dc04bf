"""NYC-Bike, half-hourly: card, protocols and published numbers."""
