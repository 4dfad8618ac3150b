from hypothesis import settings

# Compilation and shared processors make single examples slow; the same examples every run.
settings.register_profile("fastsw", deadline=None, derandomize=True, max_examples=150)
settings.load_profile("fastsw")
