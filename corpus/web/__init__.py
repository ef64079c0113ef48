"""The web corpus workshop: crawls to judged, deduplicated, decontaminated documents of the target language."""
