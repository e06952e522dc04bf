"""WeatherBench 1.40625°, 2 m temperature: card, protocols and published numbers."""
