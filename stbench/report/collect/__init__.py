"""Read run folders, published numbers and profiles from the disk."""
