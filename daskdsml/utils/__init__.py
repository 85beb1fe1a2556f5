"""Small things that every room may use: names to parts, parameters, threads, exact sums."""
