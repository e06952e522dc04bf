"""What a method costs: parameters, multiply-adds, memory, time, energy — measured alike for every method."""
