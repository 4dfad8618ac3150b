"""The public functions by kind of array."""
