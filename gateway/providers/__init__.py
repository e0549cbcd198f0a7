"""What a call to each kind of provider looks like. A module describes it, never makes it."""
