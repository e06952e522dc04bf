"""NYC-Taxi (New York, half-hourly): card and protocols."""
