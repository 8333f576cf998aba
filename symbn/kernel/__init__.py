"""HOW it is computed: computations, groups, loop nests; the loop IR and its exact interpreter."""
