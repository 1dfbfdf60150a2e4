"""Pure tensor and array maths: no registry, no files, no training."""
