"""What is heard of a run before its result: who reads it, who follows it, and the clocks that it stops."""
