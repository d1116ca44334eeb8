"""Wells, treatments and exclusions from files that people keep beside the tables."""
