"""What steps take in and give out, how long runs take and how they end: the questions, who answers them, and the report."""
