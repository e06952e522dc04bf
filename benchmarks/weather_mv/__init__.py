"""WeatherBench, four variables on three levels: card, protocols and published numbers."""
