"""The process beside HAProxy in a cluster's pods: it starts it, feeds it, and proves what it runs. Standard library
only.
"""
