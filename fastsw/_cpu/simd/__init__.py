"""Explicit SIMD for Numba: vectors, and numbers made of them."""
