// DTLS 1.2 clients on the system's OpenSSL, one after the other, on 127.0.0.1. One line of JSON on standard output.
//   --mode shake   handshake, goodbye, --count times; with --resume each by the ticket of the first
//   --mode hold    --count sessions at once, each on a socket of its own, until standard input closes
//   --mode echo    --count messages of --bytes over one session, --window of them under way
#define _GNU_SOURCE
#include "client.h"
#include "clock.h"

#ifdef HAVE_OPENSSL
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MTU = 1200, RECEIVE_BUFFER = 1 << 20 };

static int port, count = 1, bytes = 200, window = 16;
static bool resume, mutual;
static const char *mode = "shake", *cipher = "PSK-AES128-CCM8", *ca, *certificate, *key;

static _Noreturn void fail_dtls(const char *what) {
  const char *reason = ERR_reason_error_string(ERR_get_error());
  fail("DTLS: %s: %s", what, reason ? reason : strerror(errno));
}

static unsigned give_psk(SSL *ssl, const char *hint, char *identity, unsigned identity_room, unsigned char *psk, unsigned room) {
  (void)ssl, (void)hint;
  static const char IDENTITY[] = "bench", KEY[] = "0123456789abcdef";
  if (identity_room < sizeof IDENTITY || room < sizeof KEY) return 0;
  memcpy(identity, IDENTITY, sizeof IDENTITY);
  memcpy(psk, KEY, sizeof KEY - 1);
  return sizeof KEY - 1;
}

static SSL_CTX *make_context(void) {
  SSL_CTX *context = SSL_CTX_new(DTLS_client_method());
  char ciphers[128];
  snprintf(ciphers, sizeof ciphers, "%s:@SECLEVEL=0", cipher);
  if (!context || SSL_CTX_set_cipher_list(context, ciphers) != 1) fail_dtls(cipher);
  SSL_CTX_set_min_proto_version(context, DTLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_QUERY_MTU);
  SSL_CTX_set_psk_client_callback(context, give_psk);
  if (ca) {
    if (SSL_CTX_load_verify_locations(context, ca, NULL) != 1) fail_dtls(ca);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  }
  if (mutual) {
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1) fail_dtls(certificate);
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) fail_dtls(key);
  }
  return context;
}

// A session on a socket of its own, with the handshake done.
static SSL *come(SSL_CTX *context, SSL_SESSION *before) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_DGRAM, 0), room = RECEIVE_BUFFER;
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) fail("a socket: %s", strerror(errno));
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  BIO *bio = BIO_new_dgram(fd, BIO_CLOSE);
  SSL *ssl = SSL_new(context);
  if (!bio || !ssl) fail_dtls("a session");
  BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_CONNECTED, 0, &to);
  struct timeval second = {.tv_sec = 1};
  BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_RECV_TIMEOUT, 0, &second);
  SSL_set_bio(ssl, bio, bio);
  SSL_set_mtu(ssl, MTU);
  if (before) SSL_set_session(ssl, before);
  if (SSL_connect(ssl) != 1) fail_dtls("handshake");
  if (before && !SSL_session_reused(ssl)) fail("a session was not resumed");
  return ssl;
}

static void leave(SSL *ssl) {
  SSL_shutdown(ssl);
  SSL_free(ssl);
}

static void shake(SSL_CTX *context) {
  SSL_SESSION *before = NULL;
  if (resume) {
    SSL *first = come(context, NULL);
    before = SSL_get1_session(first);
    leave(first);
  }
  uint64_t began = now_ns();
  for (int i = 0; i < count; i++) leave(come(context, before));
  double seconds = (now_ns() - began) / 1e9;
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
  printf("{\"count\":%d,\"seconds\":%.6f,\"clientCpuSeconds\":%.6f}\n", count, seconds, cpu);
}

static void hold(SSL_CTX *context) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  SSL **all = calloc(count, sizeof *all);
  if (!all) fail("out of memory");
  for (int i = 0; i < count; i++) all[i] = come(context, NULL);
  printf("{\"count\":%d}\n", count);
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0) {
  }
  for (int i = 0; i < count; i++) leave(all[i]);
}

static void echo(SSL_CTX *context) {
  SSL *ssl = come(context, NULL);
  char *out = calloc(1, bytes), *in = malloc(bytes + 64);
  if (!out || !in) fail("out of memory");
  int sent = 0, received = 0;
  uint64_t began = now_ns();
  while (received < count) {
    for (; sent < count && sent - received < window; sent++)
      if (SSL_write(ssl, out, bytes) != bytes) fail_dtls("send");
    if (SSL_read(ssl, in, bytes + 64) != bytes) fail_dtls("an echo");
    received++;
  }
  printf("{\"count\":%d,\"seconds\":%.6f}\n", count, (now_ns() - began) / 1e9);
  leave(ssl);
}

int main(int words, char **arguments) {
  static const struct option options[] = {
      {"port", 1, 0, 'p'}, {"mode", 1, 0, 'm'}, {"count", 1, 0, 'n'}, {"bytes", 1, 0, 'b'}, {"window", 1, 0, 'w'}, {"cipher", 1, 0, 'c'}, {"ca", 1, 0, 'a'}, {"cert", 1, 0, 'e'}, {"key", 1, 0, 'k'}, {"resume", 0, 0, 'r'}, {0},
  };
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  for (int option; (option = getopt_long(words, arguments, "", options, NULL)) != -1;) switch (option) {
      case 'p': port = atoi(optarg); break;
      case 'm': mode = optarg; break;
      case 'n': count = atoi(optarg); break;
      case 'b': bytes = atoi(optarg); break;
      case 'w': window = atoi(optarg); break;
      case 'c': cipher = optarg; break;
      case 'a': ca = optarg; break;
      case 'e': certificate = optarg; break;
      case 'k': key = optarg; break;
      case 'r': resume = true; break;
      default: return 2;
    }
  mutual = certificate && key;
  SSL_CTX *context = make_context();
  if (!strcmp(mode, "hold")) hold(context);
  else if (!strcmp(mode, "echo")) echo(context);
  else shake(context);
}
#else
int main(void) { fail("built without OpenSSL's headers"); }
#endif
