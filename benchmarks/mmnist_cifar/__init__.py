"""Moving MNIST on CIFAR-10 pictures: card, protocols and published numbers."""
