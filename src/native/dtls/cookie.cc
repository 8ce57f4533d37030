#include "cookie.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "session.h"

namespace dtls {

namespace {

bool hmac(const uint8_t* secret, Bytes peer, uint8_t* cookie) {
  unsigned length = 0;
  return HMAC(EVP_sha256(), secret, kCookieBytes, peer.data, peer.length, cookie, &length) != nullptr &&
         length == kCookieBytes;
}

int generate(SSL* ssl, unsigned char* cookie, unsigned* length) {
  const Hello* hello = Session::of(ssl)->hello();
  if (hello == nullptr || !hello->cookies->make(hello->peer, cookie)) return 0;
  *length = kCookieBytes;
  return 1;
}

int verify(SSL* ssl, const unsigned char* cookie, unsigned length) {
  const Hello* hello = Session::of(ssl)->hello();
  return hello != nullptr && hello->cookies->check(hello->peer, cookie, length) ? 1 : 0;
}

}  // namespace

bool Cookies::make(Bytes peer, uint8_t* cookie) {
  return secret_.refresh(seconds_now()) && hmac(secret_.current(), peer, cookie);
}

bool Cookies::check(Bytes peer, const uint8_t* cookie, size_t length) {
  if (length != kCookieBytes || !secret_.refresh(seconds_now())) return false;
  uint8_t expected[kCookieBytes];
  for (const uint8_t* secret : {secret_.current(), secret_.previous()}) {
    if (secret == nullptr || !hmac(secret, peer, expected)) continue;
    if (CRYPTO_memcmp(expected, cookie, kCookieBytes) == 0) return true;
  }
  return false;
}

void Cookies::install(SSL_CTX* ctx) {
  SSL_CTX_set_cookie_generate_cb(ctx, generate);
  SSL_CTX_set_cookie_verify_cb(ctx, verify);
}

}  // namespace dtls
