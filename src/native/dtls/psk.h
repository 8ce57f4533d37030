// Pre-shared keys (RFC 4279): which identity has which key, and how OpenSSL asks.
#ifndef SLUICE_DTLS_PSK_H_
#define SLUICE_DTLS_PSK_H_

#include <openssl/ssl.h>

#include <string>
#include <unordered_map>

#include "bytes.h"

namespace dtls {

class PskTable {
 public:
  ~PskTable();
  void set(const std::string& identity, Bytes key);
  bool empty() const { return keys_.empty(); }
  /** The client's one entry, or a lookup; nullptr = not known. */
  const std::string* key_of(const std::string& identity) const;
  const std::string& only_identity() const { return keys_.begin()->first; }

  static void install(SSL_CTX* ctx, bool server);

 private:
  std::unordered_map<std::string, std::string> keys_;
};

}  // namespace dtls

#endif  // SLUICE_DTLS_PSK_H_
