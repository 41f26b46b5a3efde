"""Where weights come from, and how long they take."""
