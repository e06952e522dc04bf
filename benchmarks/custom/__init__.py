"""A user's own data: card and the protocols they are run under."""
