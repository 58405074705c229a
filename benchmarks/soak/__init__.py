"""Hours of audio through the device: C and Python never part, and integers never drift away from floats."""
