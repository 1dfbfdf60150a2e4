"""One module for each subject that ``tools/benchmark.py`` measures."""
