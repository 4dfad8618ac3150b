"""What runs kernels: compilation, launches, memory of the device."""
