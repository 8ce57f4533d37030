// Who we are and whom we trust, as one SSL_CTX that never changes: new credentials are a new object, and whoever shakes
// hands by the old ones keeps them.
#ifndef SLUICE_DTLS_CREDENTIALS_H_
#define SLUICE_DTLS_CREDENTIALS_H_

#include <openssl/ssl.h>

#include <string>

#include "bytes.h"
#include "limits.h"
#include "psk.h"
#include "tickets.h"

namespace dtls {

/** What stays the same over updates. */
struct Settings {
  bool server = true;
  bool insecure = false;
  uint32_t mtu = kMtuDefault;
  uint32_t retransmit_ms = kRetransmitMsDefault;
  uint32_t ticket_seconds = kTicketSecondsDefault;
  uint32_t cookie_seconds = kCookieSecondsDefault;
  /** "" = ours. */
  std::string cipher_list;
};

/** PEM; empty = not given. */
struct Material {
  Bytes cert;
  Bytes key;
  Bytes ca;
  bool require_client_cert = false;
};

class Credentials : public Counted {
 public:
  explicit Credentials(const Settings& settings) : settings_(settings), tickets_(settings.ticket_seconds) {}
  ~Credentials() { SSL_CTX_free(ctx_); }
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;

  /** Once, with the PSK table filled. @returns false: `reason` says why */
  bool prepare(const Material& material, std::string* reason);

  SSL_CTX* ctx() const { return ctx_; }
  const Settings& settings() const { return settings_; }
  PskTable& psk() { return psk_; }
  Tickets& tickets() { return tickets_; }

 private:
  const char* set_up(const Material& material);
  const char* set_policy();
  const char* set_certificate(Bytes cert, Bytes key);
  const char* set_authorities(Bytes ca);
  const char* set_sessions();
  std::string cipher_list(const Material& material) const;

  const Settings settings_;
  PskTable psk_;
  Tickets tickets_;
  SSL_CTX* ctx_ = nullptr;
};

}  // namespace dtls

#endif  // SLUICE_DTLS_CREDENTIALS_H_
