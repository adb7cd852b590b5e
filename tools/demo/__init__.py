"""`make demo`: from nothing to a Ready cluster that a stock client searches, and what was promised with its evidence."""
