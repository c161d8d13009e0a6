"""Real clients that fit the loader's ports."""
