"""Build functions of the training stages: they read published inputs, call plain functions, and stage the results."""
