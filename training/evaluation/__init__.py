"""What the reports measure beside bits per byte: intervals, changes against a base, answers, gates, foreign models, lm-eval."""
