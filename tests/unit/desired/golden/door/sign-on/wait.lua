-- The one thing that HAProxy has no word for: to wait and then go on.
core.register_action("wait", {"http-req"}, function(txn) core.msleep(2000) end)
