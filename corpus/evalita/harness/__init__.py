"""EVALITA tasks in lm-evaluation-harness (lm-eval): folders that it runs, and the scores that it asks for there."""
