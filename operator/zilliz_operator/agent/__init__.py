"""The process in a cluster's pods: runs the gateway, reloads it, attests what is in force."""
