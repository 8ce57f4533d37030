#include "tls.h"

#include <errno.h>

#include "client.h"

#ifdef HAVE_OPENSSL
#include <openssl/err.h>
#include <openssl/ssl.h>

static _Noreturn void fail_tls(const char *what) {
  const char *reason = ERR_reason_error_string(ERR_get_error());
  fail("TLS: %s: %s", what, reason ? reason : "the connection ended");
}

static SSL_CTX *context_for(const SSL_METHOD *method) {
  SSL_CTX *context = SSL_CTX_new(method);
  if (!context) fail_tls("start");
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1); // several records with one recv
  return context;
}

tls *tls_accept(int fd, const char *certificate_file, const char *key_file) {
  SSL_CTX *context = context_for(TLS_server_method());
  if (SSL_CTX_use_certificate_chain_file(context, certificate_file) != 1) fail_tls(certificate_file);
  if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1) fail_tls(key_file);
  SSL *ssl = SSL_new(context);
  if (!ssl || SSL_set_fd(ssl, fd) != 1 || SSL_accept(ssl) != 1) fail_tls("handshake");
  return (tls *)ssl;
}

tls *tls_open(int fd) {
  static SSL_CTX *context;
  if (!context) context = context_for(TLS_client_method());
  SSL *ssl = SSL_new(context);
  if (!ssl || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1) fail_tls("handshake");
  return (tls *)ssl;
}

// -1 with EAGAIN when the socket has to be waited for; 0 when the broker ended the connection.
static ssize_t blocked(SSL *ssl, int result, const char *what) {
  switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: errno = EAGAIN; return -1;
    case SSL_ERROR_ZERO_RETURN: return 0;
    default: fail_tls(what);
  }
}

ssize_t tls_send(tls *t, const void *bytes, size_t length) {
  SSL *ssl = (SSL *)t;
  int sent = SSL_write(ssl, bytes, (int)length);
  return sent > 0 ? sent : blocked(ssl, sent, "send");
}

ssize_t tls_receive(tls *t, void *bytes, size_t length) {
  SSL *ssl = (SSL *)t;
  size_t total = 0;
  while (total < length) { // a record at a time
    int got = SSL_read(ssl, (char *)bytes + total, (int)(length - total));
    if (got > 0) {
      total += got;
      continue;
    }
    ssize_t nothing = blocked(ssl, got, "receive");
    if (total == 0) return nothing;
    break;
  }
  return total;
}
#else
tls *tls_accept(int fd, const char *certificate_file, const char *key_file) {
  (void)fd, (void)certificate_file, (void)key_file;
  fail("built without OpenSSL");
}

tls *tls_open(int fd) {
  (void)fd;
  fail("built without OpenSSL");
}

ssize_t tls_send(tls *t, const void *bytes, size_t length) {
  (void)t, (void)bytes, (void)length;
  return 0;
}

ssize_t tls_receive(tls *t, void *bytes, size_t length) {
  (void)t, (void)bytes, (void)length;
  return 0;
}
#endif
