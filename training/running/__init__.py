"""Where and how training runs: processes, their common arithmetic, what they save, what they tell while they run."""
