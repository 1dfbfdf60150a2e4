"""Data sets: images with labels, and boxes where the split has them."""
