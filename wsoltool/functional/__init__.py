"""Pure tensor and array maths: no mmengine, no registry, no files."""
