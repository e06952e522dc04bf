"""WeatherBench 5.625°, relative humidity: card, protocols and published numbers."""
