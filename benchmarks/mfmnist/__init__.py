"""Moving Fashion-MNIST: card, protocols and published numbers."""
