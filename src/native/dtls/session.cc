#include "session.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <sys/time.h>

#include <algorithm>
#include <new>

#include "reason.h"

namespace dtls {

Session::Session(const Ref<Credentials>& credentials)
    : credentials_(credentials), datagrams_(credentials->settings().mtu) {}

Session::~Session() {
  SSL_free(ssl_);
  ERR_clear_error();
}

Session* Session::make(const Ref<Credentials>& credentials) {
  auto* session = new (std::nothrow) Session(credentials);
  if (session == nullptr) return nullptr;
  session->ssl_ = SSL_new(credentials->ctx());
  BIO* bio = session->ssl_ == nullptr ? nullptr : session->datagrams_.make_bio();
  if (bio == nullptr || SSL_set_app_data(session->ssl_, session) != 1) {
    BIO_free(bio);
    delete session;
    ERR_clear_error();
    return nullptr;
  }
  SSL_set_bio(session->ssl_, bio, bio);
  SSL_set_mtu(session->ssl_, static_cast<long>(credentials->settings().mtu));
  DTLS_set_timer_cb(session->ssl_, next_timeout);
  return session;
}

void Session::install(SSL_CTX* ctx) { SSL_CTX_set_info_callback(ctx, on_info); }

void Session::on_info(const SSL* ssl, int where, int value) {
  Session* session = of(ssl);
  if (session == nullptr || (where & SSL_CB_ALERT) == 0) return;
  ((where & SSL_CB_READ) != 0 ? session->alert_received_ : session->alert_sent_) = value;
}

/** RFC 6347 section 4.2.4.1: doubling up to 60 s. */
unsigned Session::next_timeout(SSL* ssl, unsigned before_us) {
  Session* session = of(ssl);
  const unsigned first = session->credentials_->settings().retransmit_ms * 1000;
  const unsigned last = std::max(first, kRetransmitMsMax * 1000);
  session->timeout_us_ = before_us == 0 ? first : std::min(last, before_us * 2);
  return session->timeout_us_;
}

bool Session::listen(Bytes datagram, const Hello& hello, BIO_ADDR* scratch) {
  ERR_clear_error();
  hello_ = &hello;
  datagrams_.offer(datagram.data, datagram.length);
  const bool proven = DTLSv1_listen(ssl_, scratch) == 1;
  // The state machine looks at the ClientHello, and the cookie in it, once more.
  if (proven) {
    datagrams_.drop_output();
    drive();
  }
  datagrams_.withdraw();
  hello_ = nullptr;
  ERR_clear_error();
  return proven;
}

std::string Session::connect(const char* server_name, Bytes resume) {
  ERR_clear_error();
  SSL_set_connect_state(ssl_);
  if (server_name != nullptr) {
    X509_VERIFY_PARAM* parameters = SSL_get0_param(ssl_);
    if (X509_VERIFY_PARAM_set1_ip_asc(parameters, server_name) != 1 &&
        (SSL_set1_host(ssl_, server_name) != 1 || SSL_set_tlsext_host_name(ssl_, server_name) != 1))
      return "serverName is neither a name nor an address";
  }
  if (!resume.empty()) {
    const uint8_t* at = resume.data;
    SSL_SESSION* before = d2i_SSL_SESSION(nullptr, &at, static_cast<long>(resume.length));
    // Not usable is no mistake: it may be of another version of OpenSSL.
    if (before != nullptr) SSL_set_session(ssl_, before);
    SSL_SESSION_free(before);
  }
  drive();
  return error_;
}

int32_t Session::receive(Bytes datagram) {
  if (over_) return kNothing;
  const size_t length = gate_.admit(datagram, ssl_);
  if (length == 0) return kNothing;
  datagrams_.offer(datagram.data, length);
  const int32_t bits = drive();
  datagrams_.withdraw();
  return bits;
}

int32_t Session::drive() {
  ERR_clear_error();
  if (established_) return finish() | drain();
  const int result = SSL_do_handshake(ssl_);
  if (result != 1) {
    const int error = SSL_get_error(ssl_, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return finish();
    return fail(kNothing);
  }
  gate_.settle(ssl_);
  established_ = true;
  if (resumed() && SSL_is_server(ssl_)) identity_ = ticket_identity_;
  offered_identity_.clear();
  offered_identity_.shrink_to_fit();
  ticket_identity_.clear();
  ticket_identity_.shrink_to_fit();
  return kEstablished | drain();
}

/** Looks for content, without taking it. */
int32_t Session::drain() {
  uint8_t one = 0;
  const int result = SSL_peek(ssl_, &one, 1);
  if (result > 0) return finish() | kData;
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      rest();
      return finish();
    case SSL_ERROR_ZERO_RETURN:
      over_ = true;
      return finish() | kClosed;
    default:
      return fail(kNothing);
  }
}

int32_t Session::finish() { return datagrams_.has_output() ? kOutput : kNothing; }

int32_t Session::fail(int32_t bits) {
  over_ = true;
  shut_ = true;
  error_ = take_reason();
  const long verified = SSL_get_verify_result(ssl_);
  if (verified != X509_V_OK && alert_sent_ >= 0 && SSL_get_verify_mode(ssl_) != SSL_VERIFY_NONE)
    error_ = std::string("certificate: ") + X509_verify_cert_error_string(verified);
  if (alert_received_ >= 0) error_ += (error_.empty() ? "" : "; ") + ("received " + alert_text(alert_received_));
  if (alert_sent_ >= 0) error_ += (error_.empty() ? "" : "; ") + ("sent " + alert_text(alert_sent_));
  if (error_.empty()) error_ = "the handshake failed";
  return bits | finish() | kFailed;
}

/** OpenSSL 3.0 writes into the buffers that it gave back; 3.5 makes new ones by itself. */
void Session::wake() { SSL_alloc_buffers(ssl_); }

// Between uses the buffers of the record layer, 17 KB to read alone, are not needed. OpenSSL refuses while a record is
// half read.
void Session::rest() { SSL_free_buffers(ssl_); }

int32_t Session::read(uint8_t* into, size_t room) {
  if (over_ || !established_) return 0;
  ERR_clear_error();
  const int result = SSL_read(ssl_, into, static_cast<int>(room));
  if (result > 0) return result;
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      rest();
      return -finish();
    case SSL_ERROR_ZERO_RETURN:
      over_ = true;
      return -(finish() | kClosed);
    default:
      return -fail(kNothing);
  }
}

int32_t Session::send(Bytes content) {
  if (!established_ || shut_ || content.empty()) return kNothing;
  if (content.length > payload_max()) return kTooLarge;
  ERR_clear_error();
  wake();
  const int result = SSL_write(ssl_, content.data, static_cast<int>(content.length));
  if (result <= 0) return fail(kNothing);
  rest();
  return finish();
}

int32_t Session::on_timeout() {
  if (over_ || established_) return kNothing;
  ERR_clear_error();
  if (DTLSv1_handle_timeout(ssl_) < 0) return fail(kNothing);
  return finish();
}

int32_t Session::close() {
  if (!established_ || shut_) return finish();
  ERR_clear_error();
  shut_ = true;
  wake();
  SSL_shutdown(ssl_);
  ERR_clear_error();
  rest();
  return finish();
}

/**
 * OpenSSL measures by the wall clock. Set back in the middle of a handshake it would make the peer wait for as long; so
 * the answer is never more than the timer was set to.
 */
int64_t Session::timeout_ms() const {
  timeval left{};
  if (over_ || established_ || DTLSv1_get_timeout(ssl_, &left) != 1) return -1;
  const int64_t ms = static_cast<int64_t>(left.tv_sec) * 1000 + (left.tv_usec + 999) / 1000;
  return std::clamp<int64_t>(ms, 0, timeout_us_ / 1000);
}

const char* Session::cipher() const {
  const SSL_CIPHER* suite = SSL_get_current_cipher(ssl_);
  return suite == nullptr ? "" : SSL_CIPHER_get_name(suite);
}

size_t Session::payload_max() const {
  return established_ ? std::min<size_t>(DTLS_get_data_mtu(ssl_), kRecordBytesMax) : 0;
}

const SSL_SESSION* Session::resumption() const {
  const SSL_SESSION* session = established_ ? SSL_get0_session(ssl_) : nullptr;
  return session != nullptr && SSL_SESSION_is_resumable(session) == 1 ? session : nullptr;
}

}  // namespace dtls
