#include "psk.h"

#include <openssl/crypto.h>

#include <cstring>

#include "credentials.h"
#include "session.h"

namespace dtls {

namespace {

constexpr uint8_t kClientKeyExchange = 16;
constexpr size_t kMessageHeaderBytes = 12;
constexpr size_t kLengthBytes = 2;

unsigned give_key(const std::string& key, unsigned char* into, unsigned room) {
  if (key.size() > room) return 0;
  memcpy(into, key.data(), key.size());
  return static_cast<unsigned>(key.size());
}

/**
 * Notes the identity of a ClientKeyExchange: OpenSSL's callback gets it as text, which ends at the first NUL. In a
 * handshake without PSK this notes what is no identity, and nobody asks for it.
 */
void see_message(int sent, int, int content, const void* buffer, size_t length, SSL* ssl, void*) {
  const auto* message = static_cast<const uint8_t*>(buffer);
  if (sent != 0 || content != SSL3_RT_HANDSHAKE || length < kMessageHeaderBytes + kLengthBytes) return;
  if (message[0] != kClientKeyExchange) return;
  const uint8_t* body = message + kMessageHeaderBytes;
  const size_t identity_length = static_cast<size_t>(body[0]) << 8 | body[1];
  if (identity_length > length - kMessageHeaderBytes - kLengthBytes) return;
  Session::of(ssl)->on_offered_identity(Bytes{body + kLengthBytes, identity_length});
}

/** 0 lets OpenSSL answer unknown_psk_identity. */
unsigned server_key(SSL* ssl, const char* text, unsigned char* key, unsigned room) {
  Session* session = Session::of(ssl);
  const std::string& offered = session->offered_identity();
  // What both saw must be the same, up to the NUL.
  if (text == nullptr || strcmp(offered.c_str(), text) != 0) return 0;
  // An unknown one, too: whoever reads the log has to know which it was.
  session->accept_offered_identity();
  const std::string* known = session->credentials()->psk().key_of(offered);
  if (known == nullptr) return 0;
  return give_key(*known, key, room);
}

unsigned client_key(SSL* ssl, const char*, char* identity, unsigned identity_room, unsigned char* key, unsigned room) {
  Session* session = Session::of(ssl);
  const PskTable& psk = session->credentials()->psk();
  const std::string& ours = psk.only_identity();
  if (ours.size() >= identity_room) return 0;
  memcpy(identity, ours.c_str(), ours.size() + 1);
  session->on_offered_identity(Bytes{reinterpret_cast<const uint8_t*>(ours.data()), ours.size()});
  session->accept_offered_identity();
  return give_key(*psk.key_of(ours), key, room);
}

}  // namespace

PskTable::~PskTable() {
  for (auto& [identity, key] : keys_) OPENSSL_cleanse(key.data(), key.size());
}

void PskTable::set(const std::string& identity, Bytes key) { keys_[identity] = key.copy(); }

const std::string* PskTable::key_of(const std::string& identity) const {
  const auto found = keys_.find(identity);
  return found == keys_.end() ? nullptr : &found->second;
}

void PskTable::install(SSL_CTX* ctx, bool server) {
  if (server) {
    SSL_CTX_set_psk_server_callback(ctx, server_key);
    SSL_CTX_set_msg_callback(ctx, see_message);
  } else {
    SSL_CTX_set_psk_client_callback(ctx, client_key);
  }
}

}  // namespace dtls
