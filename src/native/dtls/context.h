// What many sessions share: the credentials for the next of them, the cookie secret, and the one SSL that looks at
// datagrams of strangers.
#ifndef SLUICE_DTLS_CONTEXT_H_
#define SLUICE_DTLS_CONTEXT_H_

#include <memory>
#include <string>

#include "cookie.h"
#include "credentials.h"
#include "session.h"

namespace dtls {

class Context {
 public:
  Context(const Settings& settings, Ref<Credentials> credentials);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  void update(Ref<Credentials> credentials);
  /** What a hello is answered: a session, a datagram to send back (to be released), or neither. */
  struct Answer {
    Session* session = nullptr;
    Datagram* datagram = nullptr;
  };
  Answer hello(Bytes datagram, Bytes peer);
  /** Why the last hello with a cookie was refused; "" = none was. */
  const std::string& refusal() const { return refusal_; }
  Session* make_session() { return Session::make(credentials_); }
  void rotate();
  /** Whether a cookie is one that this peer was sent lately. */
  bool is_cookie_of(Bytes peer, Bytes cookie) { return cookies_.check(peer, cookie.data, cookie.length); }

  const Settings& settings() const { return settings_; }

 private:
  const Settings settings_;
  Ref<Credentials> credentials_;
  Cookies cookies_;
  /** The next session: it answers strangers until one of them brings a cookie, and then is theirs. */
  std::unique_ptr<Session> listener_;
  BIO_ADDR* scratch_;
  std::string refusal_;
};

}  // namespace dtls

#endif  // SLUICE_DTLS_CONTEXT_H_
