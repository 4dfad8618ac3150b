"""Soft sequence alignment on NumPy arrays and PyTorch tensors."""
