"""What runs kernels: compilation, threads, scratch memory."""
