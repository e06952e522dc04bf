"""Reading of run folders, published numbers and profiles."""
