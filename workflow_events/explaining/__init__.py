"""Where is my request? What was found of it (evidence), what that means (diagnosis), and the reading of both sources."""
