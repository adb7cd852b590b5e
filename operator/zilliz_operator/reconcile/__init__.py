"""The order of steps for each kind; talks to ports only."""
