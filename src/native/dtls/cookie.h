// Stateless cookies (RFC 6347 section 4.2.1): a client shows that it receives what is sent to its address, and nothing
// is kept until it did. The cookie is an HMAC over that address.
#ifndef SLUICE_DTLS_COOKIE_H_
#define SLUICE_DTLS_COOKIE_H_

#include <openssl/ssl.h>

#include "bytes.h"
#include "secrets.h"

namespace dtls {

constexpr size_t kCookieBytes = 32;

class Cookies {
 public:
  explicit Cookies(uint32_t period_seconds) : secret_(period_seconds) {}

  /** Writes kCookieBytes. @returns false = no random numbers, or OpenSSL failed */
  bool make(Bytes peer, uint8_t* cookie);
  bool check(Bytes peer, const uint8_t* cookie, size_t length);
  bool rotate() { return secret_.rotate(seconds_now()); }

  /** Lets OpenSSL ask for the cookies of the session that an SSL belongs to. */
  static void install(SSL_CTX* ctx);

 private:
  RotatingSecret secret_;
};

}  // namespace dtls

#endif  // SLUICE_DTLS_COOKIE_H_
