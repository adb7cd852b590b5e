"""The custom resources, their rules and their words. No I/O: everything above this layer imports from here."""
