"""The benchmark: symbn beside the other implementations of normalization that are installed."""
