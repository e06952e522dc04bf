"""From a command to finished run folders: the plan, and its execution."""
