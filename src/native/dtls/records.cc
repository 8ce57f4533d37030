#include "records.h"

#include <openssl/obj_mac.h>

#include <cstring>

namespace dtls {

namespace {

constexpr size_t kHeaderBytes = 13;
constexpr size_t kVersionAt = 1;
constexpr size_t kEpochAt = 3;
constexpr size_t kLengthAt = 11;

/** An explicit nonce of 8 bytes, and a tag of 8 or 16. */
constexpr size_t kCcm8OverheadBytes = 16;
constexpr size_t kGcmOverheadBytes = 24;
/** ChaCha20-Poly1305: a tag and no explicit nonce. */
constexpr size_t kOtherOverheadBytes = 16;

/**
 * What an encrypted record has at least: its nonce and its tag. OpenSSL ends the association over one that is shorter,
 * for an error of its own, and anybody who can forge a source address could send it; RFC 6347 section 4.1.2.7 wants it
 * dropped.
 */
size_t overhead_of(SSL* ssl) {
  const SSL_CIPHER* suite = SSL_get_current_cipher(ssl);
  if (suite == nullptr) suite = SSL_get_pending_cipher(ssl);
  if (suite == nullptr) return kGcmOverheadBytes;
  switch (SSL_CIPHER_get_cipher_nid(suite)) {
    case NID_aes_128_gcm:
    case NID_aes_256_gcm:
      return kGcmOverheadBytes;
    case NID_aes_128_ccm:
    case NID_aes_256_ccm:
      return std::strstr(SSL_CIPHER_get_name(suite), "CCM8") != nullptr ? kCcm8OverheadBytes : kGcmOverheadBytes;
    default:
      return kOtherOverheadBytes;
  }
}

/** The largest record of the peer, who may have asked for smaller ones (RFC 6066 section 4). */
size_t content_max_of(SSL* ssl) {
  const SSL_SESSION* session = SSL_get0_session(ssl);
  const unsigned code = session == nullptr ? 0 : SSL_SESSION_get_max_fragment_length(session);
  return kSealingBytesMax + (code == 0 || code > 4 ? kRecordBytesMax : size_t{256} << code);
}

unsigned number16(const uint8_t* at) { return static_cast<unsigned>(at[0]) << 8 | at[1]; }

}  // namespace

// OpenSSL drops a record by its header alone and takes what follows, its content, for the next header. So nothing that
// it would drop that way may reach it, or records could hide from us in the content of others.
size_t RecordGate::admit(Bytes datagram, SSL* ssl) {
  size_t at = 0;
  while (at + kHeaderBytes <= datagram.length) {
    const uint8_t* record = datagram.data + at;
    const unsigned version = number16(record + kVersionAt);
    const size_t content = number16(record + kLengthAt);
    const size_t end = at + kHeaderBytes + content;
    if (end > datagram.length || content > content_max_) return at;
    if (version != DTLS1_2_VERSION && (settled_ || version != DTLS1_VERSION)) return at;
    if (number16(record + kEpochAt) != 0) {
      if (content < (settled_ ? sealed_min_ : overhead_of(ssl))) return at;
      if (!settled_ && ++early_records_ > kEarlyRecordsMax) return at;
    }
    at = end;
  }
  return at;
}

void RecordGate::settle(SSL* ssl) {
  sealed_min_ = overhead_of(ssl);
  content_max_ = content_max_of(ssl);
  settled_ = true;
}

}  // namespace dtls
