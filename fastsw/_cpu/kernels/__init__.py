"""The kernels: which cells in which order, and how their numbers are kept."""
