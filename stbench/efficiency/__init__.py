"""Cost of methods: parameters, multiply-adds, memory, time and energy."""
