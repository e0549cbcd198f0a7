"""What stands around a gateway: the terminal it was started in, and what is in front of it.

Each module stands for itself: `terminal` tells whether the terminal has been closed.
"""
