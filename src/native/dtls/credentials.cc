#include "credentials.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

#include <algorithm>
#include <memory>

#include "cookie.h"
#include "reason.h"
#include "session.h"

namespace dtls {

namespace {

constexpr char kPskSuites[] =
    "PSK-AES128-GCM-SHA256:PSK-AES256-GCM-SHA384:PSK-AES128-CCM:PSK-AES256-CCM:PSK-AES128-CCM8:PSK-AES256-CCM8";
constexpr char kCertificateSuites[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-CCM:ECDHE-ECDSA-AES256-CCM:"
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-CCM8:ECDHE-ECDSA-AES256-CCM8";
/** X25519 is cheapest; RFC 7252 section 9.1.3.2 has P-256, and some devices nothing else. */
constexpr char kGroups[] = "X25519:P-256:P-384:P-521";
/** 112 bits: RSA from 2,048, no SHA-1. */
constexpr int kSecurityLevel = 2;

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using BioPointer = std::unique_ptr<BIO, Free>;
using X509Pointer = std::unique_ptr<X509, Free>;
using KeyPointer = std::unique_ptr<EVP_PKEY, Free>;

BioPointer reader_of(Bytes pem) { return BioPointer(BIO_new_mem_buf(pem.data, static_cast<int>(pem.length))); }

/** Without it OpenSSL would ask the terminal. */
int no_password(char*, int, int, void*) { return -1; }

X509Pointer next_certificate(BIO* bio) { return X509Pointer(PEM_read_bio_X509(bio, nullptr, no_password, nullptr)); }

/** After the last certificate of a file there is nothing more; whatever else stopped the reader is an error. */
bool at_end() {
  const unsigned long error = ERR_peek_last_error();
  if (ERR_GET_LIB(error) != ERR_LIB_PEM || ERR_GET_REASON(error) != PEM_R_NO_START_LINE) return false;
  ERR_clear_error();
  return true;
}

using SecurityCallback = int (*)(const SSL*, const SSL_CTX*, int, int, int, void*, void*);
SecurityCallback default_security = nullptr;

/**
 * CCM8 is 64 bits to OpenSSL, below every level but 0, and level 0 would take any certificate as well. The suites are
 * those of our list; to everything else the level applies.
 */
int judge_security(const SSL* ssl, const SSL_CTX* ctx, int operation, int bits, int nid, void* other, void* extra) {
  switch (operation) {
    case SSL_SECOP_CIPHER_SUPPORTED:
    case SSL_SECOP_CIPHER_SHARED:
    case SSL_SECOP_CIPHER_CHECK:
      return bits >= 64 ? 1 : 0;
    default:
      return default_security(ssl, ctx, operation, bits, nid, other, extra);
  }
}

/** OpenSSL 3.5 ends a DTLS association over a record that a CBC suite cannot decrypt: any forger's. */
bool has_aead_suites_alone(const SSL_CTX* ctx) {
  STACK_OF(SSL_CIPHER)* suites = SSL_CTX_get_ciphers(ctx);
  for (int at = 0; at < sk_SSL_CIPHER_num(suites); at++) {
    if (SSL_CIPHER_is_aead(sk_SSL_CIPHER_value(suites, at)) != 1) return false;
  }
  return true;
}

}  // namespace

bool Credentials::prepare(const Material& material, std::string* reason) {
  ERR_clear_error();
  const char* step = set_up(material);
  if (step == nullptr) {
    ERR_clear_error();
    return true;
  }
  const std::string words = take_reason();
  *reason = words.empty() ? step : std::string(step) + ": " + words;
  return false;
}

/** @returns the step that failed, or nullptr */
const char* Credentials::set_up(const Material& material) {
  if (settings_.server && material.cert.empty() && psk_.empty()) return "neither a certificate nor a PSK is given";
  if (!settings_.server && material.ca.empty() && psk_.empty() && !settings_.insecure)
    return "neither ca nor a PSK is given: nothing proves the server";
  if (settings_.server && material.require_client_cert && material.ca.empty()) return "requireClientCert needs ca";
  ctx_ = SSL_CTX_new(settings_.server ? DTLS_server_method() : DTLS_client_method());
  if (ctx_ == nullptr) return "no context";
  if (const char* step = set_policy()) return step;
  if (SSL_CTX_set_cipher_list(ctx_, cipher_list(material).c_str()) != 1) return "cipherList";
  if (!has_aead_suites_alone(ctx_)) return "cipherList has a suite that is no AEAD";
  if (material.cert.empty() != material.key.empty()) return "cert and key go together";
  if (!material.cert.empty()) {
    if (const char* step = set_certificate(material.cert, material.key)) return step;
  }
  if (!material.ca.empty()) {
    if (const char* step = set_authorities(material.ca)) return step;
  }
  if (settings_.server) {
    if (material.require_client_cert)
      SSL_CTX_set_verify(ctx_, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    Cookies::install(ctx_);
  } else {
    SSL_CTX_set_verify(ctx_, settings_.insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  }
  if (!psk_.empty()) PskTable::install(ctx_, settings_.server);
  Session::install(ctx_);
  return set_sessions();
}

const char* Credentials::set_policy() {
  if (SSL_CTX_set_min_proto_version(ctx_, DTLS1_2_VERSION) != 1 ||
      SSL_CTX_set_max_proto_version(ctx_, DTLS1_2_VERSION) != 1)
    return "DTLS 1.2";
  default_security = SSL_CTX_get_security_callback(ctx_);
  SSL_CTX_set_security_level(ctx_, kSecurityLevel);
  SSL_CTX_set_security_callback(ctx_, judge_security);
  SSL_CTX_set_options(ctx_, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_QUERY_MTU |
                                SSL_OP_CIPHER_SERVER_PREFERENCE);
  if (settings_.server) SSL_CTX_set_options(ctx_, SSL_OP_COOKIE_EXCHANGE);
  SSL_CTX_set_mode(ctx_, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_max_cert_list(ctx_, kCertificateListBytesMax);
  SSL_CTX_set_max_send_fragment(ctx_, std::clamp<long>(settings_.mtu, 512, SSL3_RT_MAX_PLAIN_LENGTH));
  return SSL_CTX_set1_groups_list(ctx_, kGroups) == 1 ? nullptr : "groups";
}

/** The identity is what a device was given: where a client offers PSK, that is taken. */
std::string Credentials::cipher_list(const Material& material) const {
  if (!settings_.cipher_list.empty()) return settings_.cipher_list;
  const bool certificates = settings_.server ? !material.cert.empty() : !material.ca.empty() || settings_.insecure;
  std::string list = psk_.empty() ? "" : kPskSuites;
  if (certificates) list += (list.empty() ? "" : ":") + std::string(kCertificateSuites);
  return list;
}

const char* Credentials::set_certificate(Bytes cert, Bytes key) {
  const BioPointer bio = reader_of(cert);
  if (!bio) return "cert";
  const X509Pointer leaf = next_certificate(bio.get());
  if (!leaf || SSL_CTX_use_certificate(ctx_, leaf.get()) != 1) return "cert";
  while (X509Pointer link = next_certificate(bio.get())) {
    if (SSL_CTX_add0_chain_cert(ctx_, link.get()) != 1) return "cert";
    static_cast<void>(link.release());
  }
  if (!at_end()) return "cert";
  const BioPointer key_bio = reader_of(key);
  if (!key_bio) return "key";
  const KeyPointer private_key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, no_password, nullptr));
  if (!private_key || SSL_CTX_use_PrivateKey(ctx_, private_key.get()) != 1) return "key";
  return SSL_CTX_check_private_key(ctx_) == 1 ? nullptr : "key";
}

const char* Credentials::set_authorities(Bytes ca) {
  const BioPointer bio = reader_of(ca);
  if (!bio) return "ca";
  X509_STORE* store = SSL_CTX_get_cert_store(ctx_);
  int count = 0;
  while (const X509Pointer authority = next_certificate(bio.get())) {
    if (X509_STORE_add_cert(store, authority.get()) != 1) return "ca";
    if (settings_.server && SSL_CTX_add_client_CA(ctx_, authority.get()) != 1) return "ca";
    count += 1;
  }
  return at_end() && count > 0 ? nullptr : "ca";
}

/**
 * No cache of sessions, tickets alone. The random context binds a ticket to these credentials, over the fact that its
 * keys are theirs, too.
 */
const char* Credentials::set_sessions() {
  SSL_CTX_set_session_cache_mode(ctx_, SSL_SESS_CACHE_OFF);
  if (!settings_.server) return nullptr;
  uint8_t id[16];
  if (RAND_bytes(id, sizeof id) != 1 || SSL_CTX_set_session_id_context(ctx_, id, sizeof id) != 1) return "session id";
  if (settings_.ticket_seconds == 0) {
    SSL_CTX_set_options(ctx_, SSL_OP_NO_TICKET);
    return nullptr;
  }
  SSL_CTX_set_timeout(ctx_, settings_.ticket_seconds);
  return Tickets::install(ctx_) ? nullptr : "tickets";
}

}  // namespace dtls
