"""`make bench`: what the product costs on this machine, measured on real parts. Timings are reported, never asserted."""
