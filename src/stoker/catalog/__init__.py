"""Facts with their sources: GPU types, model architectures, engines, component versions. Imports nothing of ours."""
