"""The maths on tensors and arrays alone: no registry, no runner, no files."""
