// Session tickets (RFC 5077): the server keeps nothing of a session that may be resumed; the client brings it along,
// sealed with keys that only this object has and that time renews.
#ifndef SLUICE_DTLS_TICKETS_H_
#define SLUICE_DTLS_TICKETS_H_

#include <openssl/ssl.h>

#include "secrets.h"

namespace dtls {

class Tickets {
 public:
  explicit Tickets(uint32_t period_seconds) : secret_(period_seconds) {}

  bool rotate() { return secret_.rotate(seconds_now()); }

  /** Lets OpenSSL seal and open the tickets of `ctx` with the keys of its Credentials. */
  static bool install(SSL_CTX* ctx);

  /** OpenSSL's question for keys: 1 = here they are, 2 = the same, and a new ticket is due, 0 = not ours, -1. */
  int keys(uint8_t* name, uint8_t* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, bool seal);

 private:
  RotatingSecret secret_;
};

}  // namespace dtls

#endif  // SLUICE_DTLS_TICKETS_H_
