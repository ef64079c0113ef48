"""How good translations are: scores on parallel sets, what the gates reject, and samples that a person judges."""
