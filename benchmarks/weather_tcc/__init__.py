"""WeatherBench 5.625°, total cloud cover: card, protocols and published numbers."""
