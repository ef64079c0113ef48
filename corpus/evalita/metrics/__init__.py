"""Official metrics: evidence of each item, and the number that items give together."""
