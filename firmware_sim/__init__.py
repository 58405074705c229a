"""The truth: what the fixed-point hearing-aid loop computes, in numpy integers."""
