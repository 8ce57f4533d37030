"""A DTLS client on GnuTLS, whose identities may have NULs: gnutls_peer.py PORT IDENTITY KEY (hexadecimal). Sends
b"hello" and prints what comes back. By ctypes, for no Python binding of GnuTLS is in Debian."""
import ctypes
import socket
import sys

CLIENT, DATAGRAM, PSK, RAW = 2, 4, 4, 0
PRIORITIES = b"NONE:+VERS-DTLS1.2:+PSK:+AES-128-CCM-8:+AEAD:+SIGN-ALL:+COMP-NULL:+GROUP-ALL"


class Datum(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("size", ctypes.c_uint)]


gnutls = ctypes.CDLL("libgnutls.so.30")
gnutls.gnutls_strerror.restype = ctypes.c_char_p
gnutls.gnutls_record_send.restype = ctypes.c_ssize_t
gnutls.gnutls_record_recv.restype = ctypes.c_ssize_t


def check(code):
    if code < 0:
        sys.exit(gnutls.gnutls_strerror(int(code)).decode())
    return code


port, identity, key = int(sys.argv[1]), bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[3])
peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
peer.connect(("127.0.0.1", port))

session, credentials = ctypes.c_void_p(), ctypes.c_void_p()
check(gnutls.gnutls_init(ctypes.byref(session), CLIENT | DATAGRAM))
check(gnutls.gnutls_psk_allocate_client_credentials(ctypes.byref(credentials)))
name, secret = Datum(identity, len(identity)), Datum(key, len(key))
check(gnutls.gnutls_psk_set_client_credentials2(credentials, ctypes.byref(name), ctypes.byref(secret), RAW))
check(gnutls.gnutls_credentials_set(session, PSK, credentials))
check(gnutls.gnutls_priority_set_direct(session, PRIORITIES, None))
gnutls.gnutls_dtls_set_mtu(session, 1200)
gnutls.gnutls_transport_set_int2(session, peer.fileno(), peer.fileno())
gnutls.gnutls_handshake_set_timeout(session, 5000)
while (code := gnutls.gnutls_handshake(session)) < 0:
    if gnutls.gnutls_error_is_fatal(code):
        check(code)
check(gnutls.gnutls_record_send(session, b"hello", ctypes.c_size_t(5)))
into = ctypes.create_string_buffer(2048)
count = check(gnutls.gnutls_record_recv(session, into, ctypes.c_size_t(2048)))
print(into.raw[:count].decode())
gnutls.gnutls_bye(session, 1)
