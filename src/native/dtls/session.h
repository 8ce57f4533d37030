// One DTLS association: an SSL, its datagrams, and what is said of it. It is driven from outside and calls nobody.
#ifndef SLUICE_DTLS_SESSION_H_
#define SLUICE_DTLS_SESSION_H_

#include <openssl/ssl.h>

#include <string>

#include "bytes.h"
#include "credentials.h"
#include "datagrams.h"
#include "records.h"

namespace dtls {

class Cookies;

/** binding.ts says what they mean. */
enum Bits : int32_t {
  kNothing = 0,
  kOutput = 1,
  kData = 2,
  kEstablished = 4,
  kClosed = 8,
  kFailed = 16,
  kTooLarge = 32,
};

/** Who says hello, for as long as the cookie is looked at. */
struct Hello {
  Cookies* cookies;
  Bytes peer;
};

class Session {
 public:
  /** @returns nullptr: OpenSSL has no memory */
  static Session* make(const Ref<Credentials>& credentials);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  static Session* of(const SSL* ssl) { return static_cast<Session*>(SSL_get_app_data(ssl)); }
  /** What every SSL of `ctx` tells its session. */
  static void install(SSL_CTX* ctx);

  /** Server: looks at a first datagram. @returns whether its cookie holds: then this session has begun */
  bool listen(Bytes datagram, const Hello& hello, BIO_ADDR* scratch);
  /** Client: sends the first flight. @returns "", or what is wrong */
  std::string connect(const char* server_name, Bytes resume);

  int32_t receive(Bytes datagram);
  /** @returns bytes, or bits negated */
  int32_t read(uint8_t* into, size_t room);
  int32_t send(Bytes content);
  int32_t on_timeout();
  int32_t close();
  int64_t timeout_ms() const;

  Datagrams& datagrams() { return datagrams_; }
  Credentials* credentials() const { return credentials_.get(); }
  const Hello* hello() const { return hello_; }

  // What the callbacks of PSK and tickets find out.
  void on_offered_identity(Bytes identity) { offered_identity_ = identity.copy(); }
  const std::string& offered_identity() const { return offered_identity_; }
  void accept_offered_identity() { identity_ = offered_identity_; }
  void on_ticket(Bytes identity) { ticket_identity_ = identity.copy(); }

  /** For a new ticket: until the handshake is complete, a resumed session's identity is that of its old ticket. */
  const std::string& identity_to_seal() const { return resumed() ? ticket_identity_ : identity_; }

  /** "" = came without PSK, or has not said yet. */
  const std::string& identity() const { return identity_; }
  const std::string& error() const { return error_; }
  bool over() const { return over_; }
  const char* cipher() const;
  bool resumed() const { return SSL_session_reused(ssl_) == 1; }
  size_t payload_max() const;
  X509* peer_certificate() const { return SSL_get0_peer_certificate(ssl_); }
  const SSL_SESSION* resumption() const;

 private:
  explicit Session(const Ref<Credentials>& credentials);

  int32_t drive();
  int32_t drain();
  int32_t finish();
  int32_t fail(int32_t bits);
  void wake();
  void rest();

  static void on_info(const SSL* ssl, int where, int value);
  static unsigned next_timeout(SSL* ssl, unsigned before_us);

  SSL* ssl_ = nullptr;
  Ref<Credentials> credentials_;
  Datagrams datagrams_;
  const Hello* hello_ = nullptr;
  std::string offered_identity_;
  std::string ticket_identity_;
  std::string identity_;
  std::string error_;
  RecordGate gate_;
  unsigned timeout_us_ = 0;
  int alert_sent_ = -1;
  int alert_received_ = -1;
  bool established_ = false;
  /** Nothing more is read. */
  bool over_ = false;
  /** Nothing more is sent. */
  bool shut_ = false;
};

}  // namespace dtls

#endif  // SLUICE_DTLS_SESSION_H_
