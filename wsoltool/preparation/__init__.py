"""What ``wsoltool prepare`` does: checks a download image by image and writes its index."""
