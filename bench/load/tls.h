// TLS over a connected socket. Certificates are not checked: this is a load, not a client.
// Built without OpenSSL (no HAVE_OPENSSL), both end the program.
#pragma once
#include <stddef.h>
#include <sys/types.h>

typedef struct tls tls;

// Shakes hands; the socket still blocks.
tls *tls_open(int fd);
// The same as a server.
tls *tls_accept(int fd, const char *certificate_file, const char *key_file);
// Like send and recv on a socket that does not block; tls_receive takes all that is there and fits.
ssize_t tls_send(tls *t, const void *bytes, size_t length);
ssize_t tls_receive(tls *t, void *bytes, size_t length);
