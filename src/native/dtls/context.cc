#include "context.h"

namespace dtls {

namespace {

constexpr uint8_t kHandshake = 22;
constexpr uint8_t kVersionMajor = 0xfe;
constexpr uint8_t kClientHello = 1;
/** Headers of record and message, version, random, and the lengths that follow. */
constexpr size_t kClientHelloBytesMin = 13 + 12 + 2 + 32 + 1 + 1 + 2 + 2 + 2;

/** Sorts out what is no ClientHello before OpenSSL, which takes 33 KB for a moment to say so. */
bool may_be_hello(Bytes datagram) {
  const uint8_t* bytes = datagram.data;
  return datagram.length >= kClientHelloBytesMin && bytes[0] == kHandshake && bytes[1] == kVersionMajor &&
         bytes[3] == 0 && bytes[4] == 0 && bytes[13] == kClientHello;
}

}  // namespace

Context::Context(const Settings& settings, Ref<Credentials> credentials)
    : settings_(settings),
      credentials_(std::move(credentials)),
      cookies_(settings.cookie_seconds),
      scratch_(BIO_ADDR_new()) {}

Context::~Context() {
  listener_.reset();
  BIO_ADDR_free(scratch_);
}

void Context::update(Ref<Credentials> credentials) {
  listener_.reset();
  credentials_ = std::move(credentials);
}

Context::Answer Context::hello(Bytes datagram, Bytes peer) {
  Answer answer;
  if (!may_be_hello(datagram) || scratch_ == nullptr) return answer;
  if (listener_ == nullptr) listener_.reset(make_session());
  if (listener_ == nullptr) return answer;
  const Hello hello{&cookies_, peer};
  if (listener_->listen(datagram, hello, scratch_)) {
    if (!listener_->over()) {
      answer.session = listener_.release();
      return answer;
    }
    refusal_ = listener_->error();
    answer.datagram = listener_->datagrams().take();
    listener_.reset();
    return answer;
  }
  answer.datagram = listener_->datagrams().take();
  listener_->datagrams().drop_output();
  // Whoever forges an address must not get more sent there than it sends.
  if (answer.datagram != nullptr && answer.datagram->length > datagram.length) {
    Datagrams::release(answer.datagram);
    answer.datagram = nullptr;
  }
  return answer;
}

void Context::rotate() {
  cookies_.rotate();
  credentials_->tickets().rotate();
}

}  // namespace dtls
