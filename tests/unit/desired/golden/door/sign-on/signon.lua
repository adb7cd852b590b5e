-- HAProxy 2.6.12 leaves OpenSSL's word about a bad signature in OpenSSL's queue of errors, where the next read of any TLS
-- connection finds it and takes it for its own: that connection would be closed (measured). HAProxy clears the queue whenever it
-- has read a certificate, so we let it read one that is none. It is refused and changes nothing.
local certificate = os.getenv("GATEWAY_CERTIFICATE")

core.register_action("forget_tls_errors", {"http-req"}, function()
    pcall(CertCache.set, {filename = certificate, crt = "none"})
end, 0)
