"""The commands of lac, a module each; what they share begins with an underscore."""
