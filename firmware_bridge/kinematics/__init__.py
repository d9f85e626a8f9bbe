"""Where an arm's links are, what they weigh and what they may not touch, in numpy. Pure."""
