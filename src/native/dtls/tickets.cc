#include "tickets.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <cstring>

#include "credentials.h"
#include "session.h"

namespace dtls {

namespace {

// How a secret is divided: a name by which tickets are told apart, a key that seals, a key that proves.
constexpr size_t kNameBytes = 16;
constexpr size_t kCipherKeyBytes = 32;
constexpr size_t kMacKeyBytes = 32;
constexpr size_t kIvBytes = 16;
static_assert(kNameBytes + kCipherKeyBytes + kMacKeyBytes == RotatingSecret::kSize);

bool is_named(const uint8_t* secret, const uint8_t* name) {
  return secret != nullptr && CRYPTO_memcmp(secret, name, kNameBytes) == 0;
}

bool use(const uint8_t* secret, const uint8_t* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, bool seal) {
  const uint8_t* cipher_key = secret + kNameBytes;
  auto* mac_key = const_cast<uint8_t*>(cipher_key + kCipherKeyBytes);
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, mac_key, kMacKeyBytes),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end(),
  };
  return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, cipher_key, iv, seal ? 1 : 0) == 1 &&
         EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

int ask_keys(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int seal) {
  return Session::of(ssl)->credentials()->tickets().keys(name, iv, cipher, mac, seal != 0);
}

// OpenSSL keeps an identity as text up to its first NUL; the whole one goes into the ticket beside it.
int sealing(SSL* ssl, void*) {
  const std::string& identity = Session::of(ssl)->identity_to_seal();
  SSL_SESSION* session = SSL_get_session(ssl);
  if (session == nullptr) return 0;
  return SSL_SESSION_set1_ticket_appdata(session, identity.data(), identity.size());
}

SSL_TICKET_RETURN opened(SSL* ssl, SSL_SESSION* session, const unsigned char*, size_t, SSL_TICKET_STATUS status,
                         void*) {
  if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) return SSL_TICKET_RETURN_IGNORE_RENEW;
  void* identity = nullptr;
  size_t length = 0;
  if (SSL_SESSION_get0_ticket_appdata(session, &identity, &length) != 1) return SSL_TICKET_RETURN_IGNORE_RENEW;
  Session::of(ssl)->on_ticket(Bytes{static_cast<const uint8_t*>(identity), length});
  return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

}  // namespace

int Tickets::keys(uint8_t* name, uint8_t* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, bool seal) {
  if (!secret_.refresh(seconds_now())) return -1;
  if (seal) {
    memcpy(name, secret_.current(), kNameBytes);
    if (RAND_bytes(iv, kIvBytes) != 1) return -1;
    return use(secret_.current(), iv, cipher, mac, true) ? 1 : -1;
  }
  if (is_named(secret_.current(), name)) return use(secret_.current(), iv, cipher, mac, false) ? 1 : -1;
  if (is_named(secret_.previous(), name)) return use(secret_.previous(), iv, cipher, mac, false) ? 2 : -1;
  return 0;
}

bool Tickets::install(SSL_CTX* ctx) {
  return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ask_keys) == 1 &&
         SSL_CTX_set_session_ticket_cb(ctx, sealing, opened, nullptr) == 1;
}

}  // namespace dtls
