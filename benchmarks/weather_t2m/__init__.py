"""WeatherBench 5.625°, 2 m temperature: card, protocols and published numbers."""
