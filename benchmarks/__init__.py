"""Benchmarks of fastsw, for asv; `compare_peers.py` runs on its own."""
