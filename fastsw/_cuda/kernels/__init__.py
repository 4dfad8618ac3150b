"""The kernels: which warp takes which cells in which order, and the equations of a cell."""
