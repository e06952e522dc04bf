"""WeatherBench 5.625°, 10 m wind: card, protocols and published numbers."""
