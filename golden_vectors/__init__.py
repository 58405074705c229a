"""The witness: committed vectors, and every engine that must reproduce them bit for bit."""
